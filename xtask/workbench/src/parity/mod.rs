//! `cargo xtask training-parity`: what training needs to be held against another implementation.
//!
//! A recorded run leaves the weights that it began with, the examples of each step as the model saw them, and its own
//! losses. `xtask/scripts/training_parity.py` has PyTorch train on the same, and compares the curves; then it trains
//! from other seeds, and has the models scored here.

mod record;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bert_tasks::data::{self, classification, entities, squad};
use bert_tasks::pretraining::{Corpus, ExampleOptions, Examples};
use bert_tasks::question_answering::QuestionAnsweringOptions;
use bert_tasks::token_classification::Scheme;
use bert_tasks::training::{
    Classification, DecayWord, Entities, Objective, Pretraining, QuestionAnswering, Report, TrainOptions,
    Trainer,
};
use bert_tasks::{Device, Pretrained};
use clap::{Subcommand, ValueEnum};

use crate::error::{Error, Result};
use record::Recording;

/// Record a run of training, or score a model, to compare training with another implementation.
#[derive(clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Train, and write down what the run began with and saw.
    Record(Recorded),
    /// Print how good a model is at the examples to evaluate on.
    Score {
        /// The model.
        #[arg(long, value_name = "FOLDER")]
        model: PathBuf,
        #[command(flatten)]
        data: Data,
    },
}

/// A run to record.
#[derive(clap::Args)]
struct Recorded {
    /// The model to begin with.
    #[arg(long, value_name = "FOLDER")]
    model: PathBuf,
    #[command(flatten)]
    data: Data,
    /// How many steps.
    #[arg(long)]
    steps: u64,
    /// The highest learning rate.
    #[arg(long, default_value_t = 2e-4)]
    learning_rate: f64,
    /// The order of the examples and the fresh weights.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A folder that is not there yet.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// A task and its examples.
#[derive(clap::Args)]
struct Data {
    #[arg(long)]
    task: Task,
    /// The examples to train on.
    #[arg(long, value_name = "FILE")]
    train: PathBuf,
    /// Of these, the first so many; all if not given.
    #[arg(long, value_name = "COUNT", default_value_t = usize::MAX)]
    examples: usize,
    /// The examples to evaluate on.
    #[arg(long, value_name = "FILE")]
    eval: Option<PathBuf>,
    /// Examples of a step.
    #[arg(long, default_value_t = 16)]
    batch_size: usize,
    /// The longest sequence, in tokens.
    #[arg(long, default_value_t = 64)]
    max_length: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Task {
    /// Labelled texts.
    Classify,
    /// Words and their labels.
    Entities,
    /// Questions in the form of SQuAD.
    Answer,
    /// Raw text.
    Pretrain,
}

/// Does it.
///
/// # Errors
/// Data or a model that cannot be used; a folder that cannot be written.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Record(recorded) => record(recorded),
        What::Score { model, data } => score(model, data),
    }
}

fn record(recorded: &Recorded) -> Result<()> {
    let Recorded { model, data, steps, learning_rate, seed, out } = recorded;
    let base = open(model)?;
    std::fs::create_dir_all(out).map_err(Error::file("make", out))?;
    let objective = data.objective(&base, *seed, &out.join("shards"))?;
    let options = TrainOptions {
        learning_rate: *learning_rate,
        max_steps: Some(*steps),
        eval_steps: Some(*steps),
        warmup_ratio: 0.1,
        seed: *seed,
        ..data.options()
    };
    let device = Device::cpu()?;
    // A step of no size: the model that it leaves is the one that the run begins with.
    let still = TrainOptions { max_steps: Some(1), learning_rate: f64::MIN_POSITIVE, ..options.clone() };
    let unscored = record::Unscored(&*objective);
    Trainer::new(&base, &device, TrainOptions { schedule: DecayWord::Constant, ..still }).run(
        &unscored,
        &out.join("initial"),
        |_| (),
    )?;
    let recording = Recording::new(&*objective);
    let mut reports = vec![];
    Trainer::new(&base, &device, options)
        .run(&recording, &out.join("run"), |report| reports.push(report.clone()))?;
    recording.write(&reports, data.batch_size, out)?;
    if let Some(Report::Evaluated { evaluation, .. }) = reports.last() {
        println!("{}", serde_json::to_string(evaluation).expect("names and numbers"));
    }
    Ok(())
}

fn score(model: &Path, data: &Data) -> Result<()> {
    let base = open(model)?;
    let folder = tempfile::tempdir().map_err(Error::file("make", &std::env::temp_dir()))?;
    let objective = data.objective(&base, 1, &folder.path().join("shards"))?;
    let still = TrainOptions { max_steps: Some(1), learning_rate: f64::MIN_POSITIVE, ..data.options() };
    let mut found = None;
    Trainer::new(&base, &Device::cpu()?, still).run(&*objective, &folder.path().join("run"), |report| {
        if let Report::Evaluated { evaluation, .. } = report {
            found = Some(evaluation.clone());
        }
    })?;
    if let Some(evaluation) = found {
        println!("{}", serde_json::to_string(&evaluation).expect("names and numbers"));
    }
    Ok(())
}

/// All examples of a file that was opened.
fn collected<T>(examples: data::Result<impl Iterator<Item = data::Result<T>>>) -> Result<Vec<T>> {
    Ok(examples.and_then(Iterator::collect).map_err(bert_tasks::Error::from)?)
}

fn open(folder: &Path) -> Result<Pretrained> {
    Ok(Pretrained::open(&folder.to_string_lossy())?)
}

impl Data {
    fn options(&self) -> TrainOptions {
        TrainOptions {
            batch_size: self.batch_size,
            max_length: Some(self.max_length),
            ..TrainOptions::default()
        }
    }

    fn objective(&self, base: &Pretrained, seed: u64, shards: &Path) -> Result<Box<dyn Objective>> {
        let (train, eval) = (&*self.train, self.eval.as_deref());
        Ok(match self.task {
            Task::Classify => {
                let read = |path: &Path| collected(classification::read(path, &Default::default()));
                let mut train = read(train)?;
                train.truncate(self.examples);
                Box::new(Classification::new(base, train, eval.map(read).transpose()?.unwrap_or_default())?)
            }
            Task::Entities => {
                let read = |path: &Path| collected(entities::read(path, &Default::default()));
                let mut train = read(train)?;
                train.truncate(self.examples);
                let eval = eval.map(read).transpose()?.unwrap_or_default();
                Box::new(Entities::new(base, train, eval, Scheme::Iob)?)
            }
            Task::Answer => {
                let read = |path: &Path| squad::Dataset::open(path).map_err(bert_tasks::Error::from);
                let options = QuestionAnsweringOptions { max_length: self.max_length, ..Default::default() };
                let mut train = read(train)?;
                train.data.truncate(self.examples);
                Box::new(QuestionAnswering::new(base, train, eval.map(read).transpose()?, options)?)
            }
            Task::Pretrain => {
                let options = ExampleOptions { max_length: self.max_length, seed, ..Default::default() };
                let made = |path: &Path, name: &str| -> Result<Examples> {
                    let corpus = Corpus { files: vec![path.to_owned()], ..Corpus::default() };
                    let shards = corpus.shards(base.tokenizer(), &shards.join(name));
                    let (shards, _) = shards.map_err(bert_tasks::Error::from)?;
                    Ok(Examples::new(Arc::new(shards), options.clone()).map_err(bert_tasks::Error::from)?)
                };
                let eval = eval.map(|path| made(path, "eval")).transpose()?;
                Box::new(Pretraining::new(made(train, "train")?, eval, 500))
            }
        })
    }
}
