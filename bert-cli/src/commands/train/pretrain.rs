//! `bert pretrain`: a BERT from raw text, by masked words and by whether a sentence follows another.

use std::path::{Path, PathBuf};

use bert_tasks::Initial;
use bert_tasks::pretraining::ExampleOptions;
use bert_tasks::training::TrainOptions;
use bert_tasks::{ModelSource, Pretrained};
use clap::{Args, ValueHint};
use serde::{Deserialize, Serialize};

use super::job::{Job, RunArgs};
use super::raw_text::{RawTextArgs, begin, make_absolute, shape};
use super::settings::{Columns, Settings, tell_usual};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Sink};
use crate::reporter::Reporter;

/// Train a model on raw text: masked words, and whether a sentence follows another
#[derive(Args, Debug)]
#[command(
    mut_args(tell_usual::<CorpusArgs>),
    mut_arg("train", |arg| arg.visible_alias("corpus")
        .help("The text to train on: plain text with a paragraph a line and a blank line between documents, or \
               JSON lines with a document each; also .gz and .zst")),
    mut_arg("eval", |arg| arg.help("Other text of the same form, to evaluate the model on; the best one is kept")),
    after_help = "\
Examples are made as the original BERT's: runs of whole sentences, cut in two; half of the second
parts are replaced by sentences of another document; 15 % of the tokens are to be guessed, of which
80 % are masked and 10 % are replaced by random ones. Masks and pairs are new in every epoch.

The text is tokenised once, into --shards, and then read from there, so that memory stays flat.
Ctrl-C saves a state; however a run ended, --resume leads to the same model.

Examples:
  bert pretrain --corpus wikipedia.txt.zst books.txt --eval held-out.txt --out my-bert --max-steps 20000 \\
      --eval-steps 1000 --learning-rate 4e-4
  bert pretrain --architecture config.json --tokenizer google-bert/ --corpus text.txt --out tiny-bert
  bert pretrain --out my-bert --resume"
)]
pub struct PretrainCommand {
    #[command(flatten)]
    settings: Settings<CorpusArgs>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How text becomes examples.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Corpus")]
#[serde(default, rename_all = "kebab-case")]
struct CorpusArgs {
    /// Begin with random weights, in the shape that this config.json gives. Needs --tokenizer
    #[arg(long, value_name = "FILE", conflicts_with = "model", value_hint = ValueHint::FilePath)]
    architecture: Option<PathBuf>,

    /// A folder with the tokenizer of the new model, such as its vocab.txt
    #[arg(long, value_name = "FOLDER", requires = "architecture", value_hint = ValueHint::DirPath)]
    tokenizer: Option<PathBuf>,

    #[command(flatten)]
    #[serde(flatten)]
    text: RawTextArgs,
}

impl Columns for CorpusArgs {
    fn usual() -> TrainOptions {
        TrainOptions { max_length: Some(ExampleOptions::default().max_length), ..TrainOptions::default() }
    }
}

/// The original BERT had pairs.
const PAIRS: bool = true;

impl CorpusArgs {
    /// The model to begin with where none is named: random weights.
    fn fresh(&self, architecture: &Path, out: &Path, seed: u64) -> Result<Pretrained> {
        let from = self.tokenizer.as_ref().ok_or(Error::NoSetting { flag: "tokenizer" })?;
        let config = shape(architecture)?;
        let numbers = Initial::new(seed, config.initializer_range);
        begin(out, &config, self.text.head(PAIRS), &numbers, &ModelSource::Folder(from.clone()))
    }
}

impl PretrainCommand {
    /// Trains.
    ///
    /// # Errors
    /// Whatever ended it early.
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, reporter)?;
        let mut job = Job::new("pretrain", self.run, self.settings)?;
        let own = &mut job.settings.columns;
        make_absolute([&mut own.architecture, &mut own.tokenizer, &mut own.text.shards]);
        let own = job.settings.columns.clone();
        let base = match &own.architecture {
            Some(architecture) => own.fresh(architecture, &job.out, job.settings.options().seed)?,
            None => job.open_model(reporter)?,
        };
        let objective = own.text.objective(&job, reporter, &base, PAIRS)?;
        job.go(reporter, sink, &base, &objective)
    }
}
