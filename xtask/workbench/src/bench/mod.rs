//! How fast and how exact the CPU backend is, against what the machine can do and what others do:
//! `cargo xtask bench`.
//!
//! * [`workload`] is what is timed, [`clock`] how, [`load`] on what;
//! * [`training`] is a step of training, in place of a forward pass;
//! * [`shares`] says where the time goes, [`memory`] what a start takes, [`accuracy`] what a precision costs
//!   and [`bounds`] what it may, [`texts`] how fast texts become vectors, [`peers`] reads others' times;
//! * [`results`] is what is kept of a run, [`report`] prints it, [`readme`] puts it into README.md.

mod accuracy;
mod bounds;
mod clock;
mod load;
mod memory;
mod peers;
mod readme;
mod report;
mod results;
mod shares;
mod texts;
mod training;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bert_backend_cpu::{CpuBackend, SimdLevel};
use bert_core::contract::{Backend, Precision};
use bert_core::graph::Encoder;
use bert_core::observe::profile::Profile;
use clap::ValueEnum;

use crate::error::{Error, Result};
use results::{Forward, Limits, Results};
use workload::{Case, Shape};

/// Measure the CPU backend: forward passes against the limits of this machine, starts, accuracy.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure; all but accuracy and training unless given.
    #[arg(value_enum, value_name = "WHAT")]
    what: Vec<What>,

    /// Cases to time; all unless given.
    #[arg(long, value_delimiter = ',', value_enum)]
    case: Vec<Case>,

    /// Shapes of the models, with random weights that are made at the first run.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "bert-base,minilm-l6")]
    shape: Vec<Shape>,

    /// A checkpoint folder in the place of the shapes.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,

    /// What linear layers compute with; all that the backend has unless given.
    #[arg(long, value_delimiter = ',')]
    precision: Vec<Precision>,

    /// Instruction sets whose accuracy is measured (portable, avx2, avx512, neon); all of this machine unless
    /// given.
    #[arg(long, value_delimiter = ',', value_name = "SIMD")]
    simd: Vec<SimdLevel>,

    /// Numbers of threads to compute with; 1 and as many as the system grants unless given.
    #[arg(long, value_delimiter = ',')]
    threads: Vec<usize>,

    /// Seconds to spend on each case.
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS", value_parser = seconds)]
    budget: f64,

    /// Time one case and print a line of JSON, for scripts that compare engines.
    #[arg(long, value_enum, value_name = "CASE", conflicts_with_all = ["what", "json", "peers"])]
    one_line: Option<Case>,

    /// Turn the lines of this file into vectors and print a line of JSON, for the same scripts.
    #[arg(long, value_name = "FILE", requires = "model", conflicts_with_all = ["what", "json", "peers", "one_line"])]
    texts: Option<PathBuf>,

    /// Compare with the times in this table of other engines, in Markdown.
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,

    /// Keep all numbers in this file; what it holds of other measurements stays.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the tables of README.md again from the results that it names.
    #[arg(long, conflicts_with_all = ["what", "json", "peers", "one_line", "texts"])]
    readme: bool,

    /// Only say whether they are as they should be.
    #[arg(long, requires = "readme")]
    check: bool,

    /// Time one step of training and print a line of JSON, for scripts that compare engines.
    #[arg(long, value_name = "CASE", value_parser = training::case, conflicts_with_all = ["what", "json", "peers", "one_line"])]
    training_step: Option<Case>,

    /// Load, answer once and print what that took: how a run measures its own start.
    #[arg(long, hide = true, value_name = "CALLS")]
    start_only: Option<usize>,
}

/// A kind of measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// What this machine can do at best.
    Limits,
    /// Forward passes, and which operation takes how much of them.
    Forward,
    /// From the disk to a first answer, and the memory that takes.
    Start,
    /// Memory over a thousand calls.
    Steady,
    /// What each precision costs, on trained models.
    Accuracy,
    /// Steps of training.
    Train,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number between 0 and 3600".to_owned()),
    }
}

impl Args {
    /// Whether anything is timed.
    pub fn measures(&self) -> bool {
        !self.readme
    }
}

/// Runs the bench.
///
/// # Errors
/// A model that cannot be loaded, a batch that it cannot take, a file that cannot be read or written, a README
/// that is not up to date.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.readme {
        return readme::run(args.check).map(|()| ExitCode::SUCCESS);
    }
    let precision = args.precision.first().copied().unwrap_or_default();
    let threads = args.threads.first().copied();
    if let Some(case) = args.one_line {
        let model = load::model(load::cpu(threads)?, &args.folders()?[0].1, precision)?;
        let batch = case.batch(model.config());
        let times = clock::time(args.budget(), || load::forward(&model, &batch))?;
        report::one_line(&case.name(), case.tokens(), &times);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(case) = args.training_step {
        training::report(args, case)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let (Some(file), Some(model)) = (&args.texts, &args.model) {
        texts::run(model, file, threads, precision, args.budget())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(calls) = args.start_only {
        memory::report(&args.folders()?[0].1, threads, precision, calls)?;
        return Ok(ExitCode::SUCCESS);
    }

    // Before anything slow: a file that cannot be read should not cost minutes.
    let mut kept = args.json.as_deref().map(Results::read).transpose()?.unwrap_or_default();
    let mut keep = |found: Results| {
        kept.update(found);
        args.json.as_deref().map_or(Ok(()), |path| kept.write(path))
    };
    let mut measured = args.measure()?;
    keep(measured.clone())?;
    if args.wants(What::Accuracy) {
        // Some rows take minutes: each is kept as soon as it is known.
        accuracy::measure(&args.accuracy(), |row| {
            measured.accuracy.push(row.clone());
            keep(Results { accuracy: vec![row], ..measured.head() })?;
            report::accuracy_line(&measured);
            Ok(())
        })?;
    }
    report::print(&measured);
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn budget(&self) -> Duration {
        Duration::from_secs_f64(self.budget)
    }

    fn wants(&self, what: What) -> bool {
        if self.what.is_empty() {
            !matches!(what, What::Accuracy | What::Train)
        } else {
            self.what.contains(&what)
        }
    }

    fn accuracy(&self) -> accuracy::Asked<'_> {
        let threads = self.threads.first().copied();
        accuracy::Asked { threads, simd: &self.simd, precisions: &self.precision }
    }

    /// Names and folders of the models.
    fn folders(&self) -> Result<Vec<(String, PathBuf)>> {
        match &self.model {
            Some(folder) => {
                let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
                Ok(vec![(name, folder.clone())])
            }
            None => self.shape.iter().map(|shape| Ok((shape.name(), shape.folder()?))).collect(),
        }
    }

    fn measure(&self) -> Result<Results> {
        let backend = load::cpu(None)?;
        let info = backend.info();
        let mut results = Results {
            date: jiff::Timestamp::now().round(jiff::Unit::Second).expect("seconds divide a day").to_string(),
            cpu: info.device.clone(),
            instructions: info.features.clone(),
            ..Default::default()
        };
        if let Some(path) = &self.peers {
            let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
            results.engines = peers::parse(&text);
            if results.engines.is_empty() {
                return Err(Error::NoPeers { path: path.clone() });
            }
        }
        let precisions = if self.precision.is_empty() { &info.precisions } else { &self.precision };
        let mut threads =
            if self.threads.is_empty() { vec![1, backend.threads()] } else { self.threads.clone() };
        threads.dedup();

        for &threads in &threads {
            let backend = load::cpu(Some(threads))?;
            // Floors need them too.
            if ![What::Limits, What::Forward, What::Train].into_iter().any(|what| self.wants(what)) {
                continue;
            }
            let mut limits = Limits::of(&backend.limits(), threads, precisions);
            if self.wants(What::Forward) {
                let timed = self.forward(&backend, threads, precisions)?;
                // Others may have slowed the machine down while its limits were looked for, so again afterwards.
                limits.raise(&Limits::of(&backend.limits(), threads, precisions));
                results.forward.extend(timed.into_iter().map(|(forward, weight_bytes)| {
                    let floor = limits.floor(&forward.precision, forward.gflop * 1e9, weight_bytes);
                    Forward { floor, ..forward }
                }));
            }
            if self.wants(What::Train) {
                let timed = training::measure(self, threads)?;
                limits.raise(&Limits::of(&backend.limits(), threads, precisions));
                results.training.extend(timed.into_iter().map(|timed| training::bounded(timed, &limits)));
            }
            results.limits.push(limits);
        }
        if self.wants(What::Start) {
            for (name, folder) in self.folders()? {
                for &precision in precisions {
                    results.starts.push(memory::start(&name, &folder, precision)?);
                }
            }
        }
        if self.wants(What::Steady) {
            // The smallest: what leaks does so in any.
            if let Some((name, folder)) = self.folders()?.last() {
                for &precision in precisions {
                    results.steady.push(memory::steady(name, folder, precision)?);
                }
            }
        }
        Ok(results)
    }

    /// Forward passes, still without a floor, and the bytes of weights that each reads.
    fn forward(
        &self,
        backend: &CpuBackend,
        threads: usize,
        precisions: &[Precision],
    ) -> Result<Vec<(Forward, f64)>> {
        let mut timed = vec![];
        for (name, folder) in self.folders()? {
            for &precision in precisions {
                let model = load::model(backend.clone(), &folder, precision)?;
                let profiled = load::model(Profile::new(backend.clone()), &folder, precision)?;
                let config = model.config();
                let cases = if self.case.is_empty() { Shape::cases(&name) } else { &self.case };
                for &case in cases {
                    if case.lengths().iter().any(|&length| length > config.max_tokens()) {
                        let positions = config.max_tokens();
                        eprintln!("SKIPPED {}: the model takes {positions} tokens", case.name());
                        continue;
                    }
                    eprintln!("{name} {precision} {} with {threads} threads …", case.name());
                    let batch = case.batch(config);
                    let times = clock::time(self.budget(), || load::forward(&model, &batch))?;
                    let weight_bytes = workload::weights(config) * workload::bytes_each(precision);
                    let forward = Forward {
                        model: name.clone(),
                        precision: precision.to_string(),
                        threads,
                        case,
                        tokens: case.tokens(),
                        times,
                        tokens_per_s: case.tokens() as f64 / times.ms * 1e3,
                        gflop: case.flops(config) / 1e9,
                        floor: None,
                        shares: shares::measure(&profiled, &batch)?,
                    };
                    timed.push((forward, weight_bytes));
                }
            }
        }
        Ok(timed)
    }
}
