//! How fast the CPU backend is, against what the machine can do and what others do: `cargo xtask bench`.
//!
//! * [`workload`] is what is timed, [`clock`] how, [`load`] on what;
//! * [`shares`] says where the time goes, [`memory`] what a start takes, [`peers`] reads others' times;
//! * [`report`] prints it all.

mod clock;
mod load;
mod memory;
mod peers;
mod report;
mod shares;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bert_core::backend::Backend;
use bert_core::ops::Precision;
use bert_core::profile::Profile;
use clap::ValueEnum;
use serde::Serialize;

use crate::error::{Error, Result};
use clock::Times;
use report::Run;
use shares::Share;
use workload::Case;

/// Time forward passes of BERT-base on the CPU, against the limits of this machine.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    options: Options,

    /// Cases to time; all unless given.
    #[arg(long, value_delimiter = ',', value_enum)]
    case: Vec<Case>,

    /// A checkpoint folder; by default one of BERT-base's shape with random weights, made at the first run.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,

    /// Seconds to spend on each case.
    #[arg(long, default_value_t = 6.0, value_name = "SECONDS", value_parser = seconds)]
    budget: f64,

    /// Measure the limits of this machine and stop.
    #[arg(long)]
    limits: bool,

    /// Time one case and print a line of JSON, for scripts that compare engines.
    #[arg(long, value_enum, value_name = "CASE", conflicts_with = "limits")]
    one_line: Option<Case>,

    /// Compare with the times in this table of other engines, in Markdown.
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,

    /// Write all numbers of the run to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Load, answer once and print what that took: how a run measures its own start.
    #[arg(long, hide = true)]
    start_only: bool,
}

/// How to compute.
#[derive(clap::Args, Clone, Copy)]
pub struct Options {
    /// Threads to compute with; as many as the system grants unless given.
    #[arg(long)]
    threads: Option<usize>,

    /// What linear layers compute with.
    #[arg(long, default_value = "f32")]
    precision: Precision,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number between 0 and 3600".to_owned()),
    }
}

/// A case and what came of it.
#[derive(Debug, Serialize)]
pub struct Timed {
    case: Case,
    tokens: usize,
    #[serde(flatten)]
    times: Times,
    tokens_per_s: f64,
    gflop: f64,
    /// The least time that the machine's limits allow, in milliseconds.
    floor_ms: f64,
    /// Which limit that is.
    bound: Bound,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shares: Vec<Share>,
}

/// What cannot be faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The arithmetic.
    Compute,
    /// Reading every weight from memory once.
    Memory,
}

/// Runs the bench.
///
/// # Errors
/// A model that cannot be loaded, a batch that it cannot take, a file that cannot be read or written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let options = args.options;
    let backend = load::cpu(&options)?;
    if args.limits {
        report::limits(&backend.info(), &backend.limits());
        return Ok(ExitCode::SUCCESS);
    }
    // Before anything slow: a file that cannot be read should not cost minutes.
    let peers = match &args.peers {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
            let peers = peers::parse(&text);
            if peers.is_empty() {
                return Err(Error::NoPeers { path: path.clone() });
            }
            peers
        }
        None => vec![],
    };
    let folder = args.model.clone().map_or_else(workload::bert_base, Ok)?;
    if args.start_only {
        println!("{}", serde_json::to_string(&memory::measure(&folder, &options)?).expect("plain numbers"));
        return Ok(ExitCode::SUCCESS);
    }
    let budget = Duration::from_secs_f64(args.budget);
    if let Some(case) = args.one_line {
        let model = load::model(backend, &folder, options.precision)?;
        let batch = case.batch(load::config(&model));
        report::one_line(case, &clock::time(budget, || load::forward(&model, &batch))?);
        return Ok(ExitCode::SUCCESS);
    }

    let model = load::model(backend.clone(), &folder, options.precision)?;
    let start = memory::measure_in_child(&folder, &options)?;
    let limits = backend.limits();
    let profiled = load::model(Profile::new(backend.clone()), &folder, options.precision)?;
    let config = load::config(&model);
    let cases = if args.case.is_empty() { Case::value_variants() } else { &args.case };
    let mut timed = vec![];
    for &case in cases {
        if case.lengths().iter().any(|&length| length > config.max_position_embeddings) {
            eprintln!("SKIPPED {}: the model takes {} tokens", case.name(), config.max_position_embeddings);
            continue;
        }
        eprintln!("{} …", case.name());
        let batch = case.batch(config);
        let times = clock::time(budget, || load::forward(&model, &batch))?;
        let compute_ms = case.flops(config) / limits.f32_gflops / 1e6;
        let memory_ms = workload::weight_bytes(config) / limits.read_gbytes / 1e6;
        timed.push(Timed {
            case,
            tokens: case.tokens(),
            times,
            tokens_per_s: case.tokens() as f64 / times.ms * 1e3,
            gflop: case.flops(config) / 1e9,
            floor_ms: compute_ms.max(memory_ms),
            bound: if memory_ms > compute_ms { Bound::Memory } else { Bound::Compute },
            shares: shares::measure(&profiled, &batch)?,
        });
    }
    let run = Run::new(&backend.info(), limits, &folder, options.precision, start, timed);
    report::print(&run, &peers);
    if let Some(path) = &args.json {
        run.write(path)?;
    }
    Ok(ExitCode::SUCCESS)
}
