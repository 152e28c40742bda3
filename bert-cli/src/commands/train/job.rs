//! What every task does: settings become a run, which is begun or resumed, watched, stopped and summed up.

use std::fs;
use std::path::{Path, PathBuf};

use bert_tasks::checkpoint;
use bert_tasks::training::card::{self, Card};
use bert_tasks::training::{Objective, Report, Trainer, TrainingError};
use bert_tasks::{Pretrained, data};
use clap::{Args, ValueHint};

use super::progress::Progress;
use super::settings::{Columns, Settings};
use super::summary::Trained;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::output::Sink;
use crate::reporter::Reporter;
use crate::signals;
use crate::style::counted;

/// The file in the folder of a run that repeats it.
const CONFIG: &str = "config.toml";

/// How a run is begun.
#[derive(Args, Debug)]
#[command(next_help_heading = "Run")]
pub struct RunArgs {
    /// Resume the run in --out; the model is the same as that of a run without a break. Settings are read from the
    /// config.toml of the run
    #[arg(long)]
    resume: bool,

    /// A TOML file with the long options as keys, such as `batch-size = 16`. Options on the command line take precedence
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,

    /// Use what the cache of the hub holds, without any connection; HF_HUB_OFFLINE=1 does the same
    #[cfg(feature = "hub")]
    #[arg(long)]
    offline: bool,
}

/// A run that has its settings.
pub struct Job<C: Columns> {
    /// The words that begin the command, such as `train classify`.
    command: &'static str,
    run: RunArgs,
    /// All settings.
    pub settings: Settings<C>,
    /// The files of examples to train on; at least one.
    pub train: Vec<PathBuf>,
    /// The examples to evaluate on.
    pub eval: Option<PathBuf>,
    /// The folder of the run.
    pub out: PathBuf,
}

impl<C: Columns> Job<C> {
    /// Brings flags, files and the environment together.
    ///
    /// # Errors
    /// Settings that are wrong or missing; a folder that holds a run already, or none to resume.
    pub fn new(command: &'static str, run: RunArgs, flags: Settings<C>) -> Result<Self> {
        let mut settings = match &run.config {
            Some(path) => flags.over_file(path, command)?,
            None => flags,
        };
        let out = settings.files.out.clone().ok_or(Error::NoSetting { flag: "out" })?;
        if !run.resume && Trainer::is_occupied(&out) {
            return Err(training(TrainingError::Occupied { path: out }));
        }
        if run.resume {
            if !Trainer::can_resume(&out) {
                return Err(training(TrainingError::NothingToResume { path: out }));
            }
            let own = out.join(CONFIG);
            if run.config.is_none() && own.exists() {
                settings = settings.over_file(&own, command)?;
            }
        }
        settings.files = settings.files.or_environment()?;
        let options = settings.options();
        options.check().map_err(training)?;
        if let Some((flag, needs)) = settings.options.without_effect(settings.files.eval.is_some()) {
            return Err(Error::NoEffect { flag, needs });
        }
        if options.distillation.is_some() && settings.files.teacher.is_none() {
            return Err(Error::NoSetting { flag: "teacher" });
        }
        let train = settings.files.train.clone();
        if train.is_empty() {
            return Err(Error::NoSetting { flag: "train" });
        }
        let eval = settings.files.eval.clone();
        Ok(Self { command, run, settings, train, eval, out })
    }

    /// Opens the model to begin with.
    ///
    /// # Errors
    /// One that is not there or cannot be used.
    pub fn open_model(&self, reporter: &Reporter) -> Result<Pretrained> {
        self.settings.files.open_model(
            reporter,
            #[cfg(feature = "hub")]
            self.run.offline,
        )
    }

    /// Opens the model to learn from, if there is to be one.
    ///
    /// # Errors
    /// One that is not there or cannot be used.
    pub fn open_teacher(&self, reporter: &Reporter) -> Result<Option<Pretrained>> {
        self.settings.files.open_teacher(
            reporter,
            #[cfg(feature = "hub")]
            self.run.offline,
        )
    }

    /// The examples to train on, and those to evaluate on.
    ///
    /// # Errors
    /// A file that cannot be read, or without examples.
    pub fn examples<T, I: Iterator<Item = data::Result<T>>>(
        &self,
        read: impl Fn(&Path) -> data::Result<I>,
    ) -> Result<(Vec<T>, Vec<T>)> {
        self.examples_by(&read, &read)
    }

    /// The same where the two files are read in different ways.
    ///
    /// # Errors
    /// A file that cannot be read, or without examples.
    pub fn examples_by<T, I: Iterator<Item = data::Result<T>>>(
        &self,
        train: impl Fn(&Path) -> data::Result<I>,
        eval: impl Fn(&Path) -> data::Result<I>,
    ) -> Result<(Vec<T>, Vec<T>)> {
        let mut examples = vec![];
        for path in &self.train {
            examples.extend(all(path, &train)?);
        }
        Ok((examples, self.eval.as_deref().map(|path| all(path, eval)).transpose()?.unwrap_or_default()))
    }

    /// Trains, and writes how it ended.
    ///
    /// # Errors
    /// Those of the device, the folder and the training; an output that cannot be written.
    pub fn go(
        self,
        reporter: &Reporter,
        mut sink: Sink,
        base: &Pretrained,
        objective: &dyn Objective,
    ) -> Result<Outcome> {
        let teacher = self.open_teacher(reporter)?;
        let device = self.settings.files.open_device()?;
        if self.settings.files.device.as_deref().is_none_or(|word| word.trim().eq_ignore_ascii_case("auto")) {
            reporter.notice(format_args!("device {device}"));
        }
        let options = self.settings.options();
        if !self.run.resume {
            let settings = Settings {
                files: self.settings.files.anywhere(&device),
                options: options.clone().into(),
                ..self.settings.clone()
            };
            self.write_config(&settings.to_toml(self.command)?)?;
        }
        let distillation = options.distillation.unwrap_or_default();
        let mut trainer = Trainer::new(base, &device, options)
            .with_tensorboard(self.settings.files.tensorboard.unwrap_or(false));
        if let Some(teacher) = &teacher {
            trainer = trainer.with_teacher(teacher, distillation);
        }
        let steps = trainer.steps(objective);
        signals::set_switch(trainer.stop_switch());
        let mut progress = Progress::new(reporter, steps, trainer.stop_switch());
        let made = std::cell::Cell::new(0);
        let on = |report: &Report| {
            made.set(made.get() + u64::from(matches!(report, Report::Step { .. })));
            progress.report(report);
        };
        let ended = match self.run.resume {
            true => trainer.resume(objective, &self.out, on),
            false => trainer.run(objective, &self.out, on),
        };
        drop(progress);
        let summary = ended?;
        reporter.add_work(made.get(), "step");
        if summary.stopped {
            let out = quoted(&self.out);
            reporter.notice(format_args!(
                "stopped after step {} of {steps}, and saved; continue with: bert {} --resume --out {out}",
                summary.steps, self.command
            ));
            return Ok(signals::status().map_or(Outcome::Done, Outcome::Stopped));
        }
        let folder = self.out.display().to_string();
        let examples = objective.examples();
        let base_name = match self.settings.files.model.as_deref() {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => base.source().to_string(),
        };
        let card = Card {
            made_by: format!("bert {}", self.command),
            task: objective.head().hub_task().to_owned(),
            base: base_name,
            teacher: self.settings.files.teacher.clone(),
            train: self.train.clone(),
            examples,
            eval: self.eval.clone(),
            device: device.to_string(),
            energy: reporter.energy(),
        };
        card::write(&self.out, &card, &self.settings.options(), &summary).map_err(training)?;
        sink.write(None, &Trained { steps: summary.steps, best: summary.best, examples, folder })?;
        sink.finish()?;
        Ok(Outcome::Done)
    }

    fn write_config(&self, text: &str) -> Result<()> {
        fs::create_dir_all(&self.out).map_err(|source| {
            training(TrainingError::Folder { action: "make", path: self.out.clone(), source })
        })?;
        let written = checkpoint::replace(&self.out.join(CONFIG), |path| fs::write(path, text));
        Ok(written.map_err(bert_tasks::Error::from)?)
    }
}

/// All examples of a file, of which there is at least one.
fn all<T, I: Iterator<Item = data::Result<T>>>(
    path: &Path,
    read: impl Fn(&Path) -> data::Result<I>,
) -> Result<Vec<T>> {
    let examples: Vec<T> = read(path).and_then(Iterator::collect).map_err(bert_tasks::Error::from)?;
    match examples.is_empty() {
        true => Err(Error::NoExamples { path: path.to_owned() }),
        false => Ok(examples),
    }
}

/// Says how many examples are longer than a run takes them.
pub fn tell_cut(reporter: &Reporter, cut: usize, longest: usize) {
    if cut > 0 {
        let cut = counted(cut as u64, "example is", "examples are");
        reporter.warning(format_args!("{cut} longer than {longest} tokens, and cut"));
    }
}

/// A training that cannot begin.
pub fn training(error: TrainingError) -> Error {
    bert_tasks::Error::from(error).into()
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:=@".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_pasted() {
        let quoted = ["out/a-b.1", "my model", "it's"].map(|path| quoted(Path::new(path)));
        assert_eq!(quoted, ["out/a-b.1", "'my model'", r"'it'\''s'"]);
    }
}
