//! `bert pretrain`: a BERT from raw text, by masked words and by whether a sentence follows another.

use std::path::{Path, PathBuf};

use bert_core::ModelConfig;
use bert_core::checkpoint;
use bert_core::graph::{Head, Initial};
use bert_tasks::pretraining::{ExampleOptions, Examples};
use bert_tasks::tokenizer::Tokenizer;
use bert_tasks::training::{self, Pretraining, TrainOptions};
use bert_tasks::{ModelSource, Pretrained};
use clap::{Args, ValueHint};
use serde::{Deserialize, Serialize};

use super::corpus::TextArgs;
use super::job::{Job, RunArgs};
use super::settings::{Columns, Settings, tell_usual};
use crate::Outcome;
use crate::error::{Error, Result};
use crate::output::{OutputArgs, Sink};
use crate::talk::Talk;

/// Train a model on raw text: masked words, and whether a sentence follows another
#[derive(Args, Debug)]
#[command(
    mut_args(tell_usual::<CorpusArgs>),
    mut_arg("train", |arg| arg.visible_alias("corpus")
        .help("The text to train on: plain text with a paragraph a line and a blank line between documents, or \
               JSON lines with a document each; also .gz and .zst")),
    mut_arg("eval", |arg| arg.help("Other text of the same form, to measure the model with; the best model is kept")),
    after_help = "\
Examples are made as the original BERT's: runs of whole sentences, cut in two; half of the second
parts are replaced by sentences of another document; 15 % of the tokens are to be guessed, of which
80 % are masked and 10 % are replaced by random ones. Masks and pairs are new in every epoch.

The text is tokenised once, into --shards, and then read from there, so that memory stays flat.
Ctrl-C saves a state; after whatever ended a run, --resume leads to the same model.

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
    /// Begin with random weights: a model of the shape that this config.json says. Needs --tokenizer
    #[arg(long, value_name = "FILE", conflicts_with = "model", value_hint = ValueHint::FilePath)]
    architecture: Option<PathBuf>,

    /// A folder with the tokenizer of the new model, such as its vocab.txt
    #[arg(long, value_name = "FOLDER", requires = "architecture", value_hint = ValueHint::DirPath)]
    tokenizer: Option<PathBuf>,

    /// Where the tokenised text is kept, to be used again with the same files; in the folder of the run, if not given
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    shards: Option<PathBuf>,

    /// Whether pairs are made, of which the model is to say whether the second part follows [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    next_sentence: Option<bool>,

    /// The share of documents that are cut into shorter examples [default: 0.1]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    short_sequence_share: Option<f64>,

    /// How many examples to measure the model with [default: 1000]
    #[arg(long, value_name = "COUNT")]
    eval_examples: Option<u64>,

    #[command(flatten)]
    #[serde(flatten)]
    text: TextArgs,
}

impl Columns for CorpusArgs {
    fn usual() -> TrainOptions {
        TrainOptions { max_length: Some(ExampleOptions::default().max_length), ..TrainOptions::default() }
    }
}

impl CorpusArgs {
    /// So that the file of settings repeats the run from any folder.
    fn make_absolute(&mut self) {
        for path in [&mut self.architecture, &mut self.tokenizer, &mut self.shards].into_iter().flatten() {
            if let Ok(absolute) = std::path::absolute(&*path) {
                *path = absolute;
            }
        }
    }

    fn examples(&self, max_length: usize, seed: u64) -> ExampleOptions {
        let usual = ExampleOptions::default();
        ExampleOptions {
            max_length,
            seed,
            next_sentence: self.next_sentence.unwrap_or(usual.next_sentence),
            short_sequence_probability: self.short_sequence_share.unwrap_or(usual.short_sequence_probability),
            masking: self.text.masking(),
        }
    }

    /// The model to begin with where none is named: random weights, kept in the folder of the run so that a resumed
    /// one begins with the same.
    fn fresh(&self, architecture: &Path, out: &Path, seed: u64) -> Result<Pretrained> {
        let from = self.tokenizer.as_ref().ok_or(Error::NoSetting { flag: "tokenizer" })?;
        let text = std::fs::read_to_string(architecture)
            .map_err(|source| Error::Read { name: architecture.display().to_string(), source })?;
        let config = ModelConfig::from_json(&text).map_err(bert_tasks::Error::from)?;
        let tokenizer = Tokenizer::from_folder(from).map_err(bert_tasks::Error::from)?;
        tokenizer.check_vocab_size(config.vocab_size).map_err(bert_tasks::Error::from)?;
        let head = if self.next_sentence.unwrap_or(true) { Head::PreTraining } else { Head::MaskedLm };
        let folder = out.join("initial");
        checkpoint::save(&folder, &config, head, &Initial::new(seed, config.initializer_range))
            .map_err(bert_tasks::Error::from)?;
        training::copy_tokenizer(&ModelSource::Folder(from.clone()), &folder)?;
        Ok(Pretrained::from_source(ModelSource::Folder(folder))?)
    }
}

impl PretrainCommand {
    /// Trains.
    ///
    /// # Errors
    /// Whatever ended it early.
    pub fn run(self, talk: &Talk) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, talk)?;
        let mut job = Job::new("pretrain", self.run, self.settings)?;
        job.settings.columns.make_absolute();
        let (own, options) = (&job.settings.columns, job.settings.options());
        let base = match &own.architecture {
            Some(architecture) => own.fresh(architecture, &job.out, options.seed)?,
            None => job.open_model(talk)?,
        };
        let examples = own.examples(options.longest(&base), options.seed);
        examples.check().map_err(bert_tasks::Error::from)?;
        let folder = own.shards.clone().unwrap_or_else(|| job.out.join("shards"));
        let made = |files: &[PathBuf], folder: &Path| -> Result<Examples> {
            let shards = own.text.shards(talk, &base, files, folder)?;
            Ok(Examples::new(shards, examples.clone()).map_err(bert_tasks::Error::from)?)
        };
        let train = made(&job.train, &folder)?;
        let eval = match &job.eval {
            Some(file) => Some(made(std::slice::from_ref(file), &job.out.join("eval-shards"))?),
            None => None,
        };
        let objective = Pretraining::new(train, eval, own.eval_examples.unwrap_or(1000));
        job.go(talk, sink, &base, &objective)
    }
}
