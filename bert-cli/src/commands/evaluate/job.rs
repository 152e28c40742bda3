//! What every evaluation does: a model is loaded and answers, figures are computed, another model is compared, and all
//! of it is reported.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bert_tasks::Precision;
use bert_tasks::data::DataError;
use bert_tasks::evaluation::{
    self, Bootstrap, CardEntry, Comparison, Contestant, EvaluationError, Judged, Measure, Report,
};
use bert_tasks::{Device, Pretrained};
use clap::{Args, ValueHint};

use crate::error::{Error, Result};
use crate::model::{ModelArgs, Requirement, precisions};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Sink};
use crate::reporter::{Reporter, TextBar};
use crate::style::counted;
use crate::values::positive;
use crate::values::up_to;

/// What the commands have in common.
#[derive(Args, Debug)]
pub struct JobArgs {
    /// The examples; also .gz and .zst
    #[arg(long, value_name = "FILE", display_order = 0, value_hint = ValueHint::FilePath)]
    pub data: PathBuf,

    /// Compare with another model on the same examples
    #[arg(long, value_name = "FOLDER|NAME", value_hint = ValueHint::DirPath, help_heading = "Comparison")]
    compare: Option<String>,

    /// Compare with another precision, of the same model or of that of --compare
    #[arg(
        long,
        value_name = "PRECISION",
        ignore_case = true,
        hide_possible_values = true,
        value_parser = precisions(),
        help_heading = "Comparison"
    )]
    compare_precision: Option<Precision>,

    /// Write what the model got wrong, with input, gold and answer, as JSON lines; answers that are numbers are all
    /// written
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    errors: Option<PathBuf>,

    /// Write the figures into the model-index of this model card, which is made if there is none
    #[arg(long, value_name = "README.md", value_hint = ValueHint::FilePath, help_heading = "Output")]
    card: Option<PathBuf>,

    /// The name of the data in reports and cards; the name of the file, if not given
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    dataset_name: Option<String>,

    /// How many bootstrap samples are drawn for the intervals; 0 for no intervals
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = up_to::<1_000_000>, help_heading = "Intervals")]
    samples: usize,

    /// The seed of all random draws: of the samples, and of examples from raw text
    #[arg(long, value_name = "NUMBER", default_value = "0", help_heading = "Intervals")]
    pub seed: u64,

    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A number of examples.
pub fn count_arg(text: &str) -> Result<u64, String> {
    positive(text).map(|count| count as u64)
}

/// A kind of evaluation, by its names.
pub struct Kind {
    /// In reports.
    pub name: &'static str,
    /// On hubs.
    pub card_task: &'static str,
    /// The models that can be evaluated so.
    pub requirement: &'static Requirement,
}

/// How a model is evaluated.
pub trait Evaluation {
    /// The loaded model.
    type Task;
    /// What is reported.
    type Measure: Measure;

    /// Loads the model.
    ///
    /// # Errors
    /// One that cannot be used.
    fn load(
        &self,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
    ) -> bert_tasks::Result<Self::Task>;

    /// Asks for all answers.
    ///
    /// # Errors
    /// Examples that cannot be read or answered; files that cannot be written.
    fn evaluate(&self, task: &Self::Task, run: &mut Run<'_>) -> Result<evaluation::Outcome<Self::Measure>>;

    /// Whether predictions are written, so that examples without labels are of use.
    fn predicts(&self) -> bool {
        false
    }
}

/// A model on its way through the examples.
pub struct Run<'a> {
    reporter: &'a Reporter,
    data: &'a Path,
    /// Whether this is the model itself, not the one that it is compared with.
    pub first: bool,
    bar: Option<TextBar<'a>>,
    errors: Option<Sink>,
    texts: u64,
    cut: u64,
    start: Instant,
}

impl<'a> Run<'a> {
    fn new(reporter: &'a Reporter, data: &'a Path, errors: Option<Sink>, first: bool) -> Self {
        Self { reporter, data, first, bar: None, errors, texts: 0, cut: 0, start: Instant::now() }
    }

    /// Begins, with so many texts to come.
    ///
    /// # Errors
    /// If there are none.
    pub fn begin(&mut self, texts: u64) -> Result<()> {
        if texts == 0 {
            let path = self.data.to_owned();
            return Err(bert_tasks::Error::from(EvaluationError::NoExamples { path }).into());
        }
        self.bar = Some(self.reporter.text_bar(Some(texts)));
        self.start = Instant::now();
        Ok(())
    }

    /// One more text is done, all of which the model saw or not.
    ///
    /// # Errors
    /// None; it is there for closures that can fail.
    pub fn text(&mut self, cut: bool) -> Result<()> {
        self.texts += 1;
        self.cut += u64::from(cut);
        if let Some(bar) = &self.bar {
            bar.advance(self.texts);
        }
        Ok(())
    }

    /// Keeps an example if the model got it wrong.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn note(&mut self, judged: &Judged) -> Result<()> {
        match &mut self.errors {
            Some(errors) if judged.right != Some(true) && !judged.gold.is_null() => {
                errors.write(None, judged)
            }
            _ => Ok(()),
        }
    }

    /// Both: one more example is done.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn judged(&mut self, judged: &Judged) -> Result<()> {
        self.text(judged.cut)?;
        self.note(judged)
    }

    /// Says something about the model or the data.
    pub fn warn(&self, message: impl std::fmt::Display) {
        self.reporter.warning(message);
    }

    fn finish(self) -> Result<Effort> {
        self.reporter.add_work(self.texts, "text");
        let effort = Effort { texts: self.texts, cut: self.cut, time: self.start.elapsed() };
        drop(self.bar);
        if let Some(errors) = self.errors {
            errors.finish()?;
        }
        Ok(effort)
    }
}

/// What a model took for the examples.
#[derive(Clone, Copy)]
struct Effort {
    texts: u64,
    cut: u64,
    time: Duration,
}

/// How many examples a file has. Reading all of them first tells what is wrong with any before a model computes for
/// hours.
///
/// # Errors
/// What is wrong with one.
pub fn count<T>(examples: impl Iterator<Item = Result<T, DataError>>) -> Result<u64> {
    let mut count = 0;
    for example in examples {
        example.map_err(bert_tasks::Error::from)?;
        count += 1;
    }
    Ok(count)
}

impl JobArgs {
    /// Evaluates the model, and the one that it is compared with.
    ///
    /// # Errors
    /// Whatever ended it early.
    pub fn run<E: Evaluation>(&self, reporter: &Reporter, kind: &Kind, evaluation: &E) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, reporter)?;
        let errors = self.open_errors(reporter)?;
        let run = Run::new(reporter, &self.data, errors, true);
        let (model, first, effort) = answer(reporter, kind, evaluation, &self.model, run)?;
        if first.observations.is_empty() && !evaluation.predicts() {
            let path = self.data.clone();
            return Err(bert_tasks::Error::from(EvaluationError::NoLabels { path }).into());
        }
        let comparison = match self.second_model() {
            Some(args) => {
                let run = Run::new(reporter, &self.data, None, false);
                let (model, second, _) = answer(reporter, kind, evaluation, &args, run)?;
                let (one, other) = (&first.observations, &second.observations);
                let figures = evaluation::differences(&first.measure, one, other, &self.bootstrap());
                Some(Comparison { model, figures, changed: first.changed(&second) })
            }
            None => None,
        };
        self.report(reporter, sink, kind, Some(model), &first, comparison, effort)
    }

    /// Reports on predictions that were there already.
    ///
    /// # Errors
    /// Whatever ended it early.
    pub fn run_without_model<M: Measure>(
        &self,
        reporter: &Reporter,
        kind: &Kind,
        judge: impl FnOnce(&mut Run<'_>) -> Result<evaluation::Outcome<M>>,
    ) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, reporter)?;
        let mut run = Run::new(reporter, &self.data, self.open_errors(reporter)?, true);
        let outcome = judge(&mut run)?;
        let effort = run.finish()?;
        self.report(reporter, sink, kind, None, &outcome, None, effort)
    }

    fn open_errors(&self, reporter: &Reporter) -> Result<Option<Sink>> {
        let output =
            |path: &PathBuf| OutputArgs { jsonl: true, output: Some(path.clone()), ..OutputArgs::default() };
        self.errors.as_ref().map(|path| Sink::open(&output(path), true, reporter)).transpose()
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap { samples: self.samples, seed: self.seed }
    }

    /// The model to compare with, if there is one.
    fn second_model(&self) -> Option<ModelArgs> {
        if self.compare.is_none() && self.compare_precision.is_none() {
            return None;
        }
        let mut args = self.model.clone();
        if let Some(compare) = &self.compare {
            args.source.model = Some(compare.clone());
            args.source.adapter = None;
            // The branch of one model means nothing to another.
            #[cfg(feature = "hub")]
            bert_tasks::hub::DEFAULT_REVISION.clone_into(&mut args.source.hub.revision);
        }
        if let Some(precision) = self.compare_precision {
            args.device.precision = precision;
        }
        Some(args)
    }

    #[expect(clippy::too_many_arguments, reason = "each is one part of the report")]
    fn report<M: Measure>(
        &self,
        reporter: &Reporter,
        mut sink: Sink,
        kind: &Kind,
        model: Option<Contestant>,
        outcome: &evaluation::Outcome<M>,
        comparison: Option<Comparison>,
        effort: Effort,
    ) -> Result<Outcome> {
        let figures = match outcome.observations.is_empty() {
            true => vec![],
            false => evaluation::figures(&outcome.measure, &outcome.observations, &self.bootstrap()),
        };
        let file = || self.data.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let seconds = effort.time.as_secs_f64();
        let report = Report {
            task: kind.name.to_owned(),
            data: self.dataset_name.clone().unwrap_or_else(file),
            model,
            examples: outcome.observations.len(),
            cut: effort.cut,
            figures,
            comparison,
            seconds,
            texts_per_second: effort.texts as f64 / seconds.max(1e-9),
        };
        if report.model.is_some() {
            let (texts, rate) = (counted(effort.texts, "text", "texts"), report.texts_per_second);
            reporter.notice(format_args!("{texts} in {seconds:.1} s, {rate:.0} texts/s"));
        }
        if effort.cut > 0 {
            let cut = counted(effort.cut, "text was", "texts were");
            reporter.warning(format_args!("{cut} longer than the model's input, and cut"));
        }
        if report.figures.is_empty() {
            reporter.warning("no example has a label, so there are no figures, only predictions");
        }
        sink.write(None, &report)?;
        sink.finish()?;
        if let Some(card) = &self.card {
            let name = report.model.as_ref().map_or_else(|| report.data.clone(), |model| model.name.clone());
            let entry = CardEntry {
                model: Path::new(&name)
                    .file_name()
                    .map_or(name.clone(), |name| name.to_string_lossy().into_owned()),
                task: kind.card_task.to_owned(),
                dataset: report.data.clone(),
                metrics: report.card_metrics(),
            };
            evaluation::update_card(card, &entry).map_err(bert_tasks::Error::from)?;
        }
        Ok(Outcome::Done)
    }
}

/// Loads a model and has it answer.
fn answer<E: Evaluation>(
    reporter: &Reporter,
    kind: &Kind,
    evaluation: &E,
    args: &ModelArgs,
    mut run: Run<'_>,
) -> Result<(Contestant, evaluation::Outcome<E::Measure>, Effort)> {
    let mut model = None;
    let task = args.load(reporter, kind.requirement, |files, device, precision| {
        let name = args.source.label(kind.requirement, files);
        model = Some(Contestant { name, precision: precision.to_string(), device: device.to_string() });
        evaluation.load(files, device, precision)
    })?;
    let model = model.expect("it was loaded");
    let outcome = evaluation.evaluate(&task, &mut run)?;
    Ok((model, outcome, run.finish()?))
}

/// An error of the library's evaluation.
pub fn failed(error: impl Into<bert_tasks::Error>) -> Error {
    Error::Tasks(error.into())
}
