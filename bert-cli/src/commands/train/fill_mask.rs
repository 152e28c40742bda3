//! `bert train fill-mask`: a masked language model goes on with raw text, as `bert fill-mask` uses it.

use std::path::PathBuf;

use bert_tasks::pretraining::{ExampleOptions, Examples};
use bert_tasks::training::{Pretraining, TrainOptions};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::corpus::TextArgs;
use super::job::{Job, RunArgs};
use super::settings::{Columns, Settings, tell_usual};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Sink};
use crate::reporter::Reporter;

/// How many examples to evaluate on at most.
const MOST: u64 = 4096;

/// Train a model further on raw text, so that it knows the words of a field
#[derive(Args, Debug)]
#[command(mut_args(tell_usual::<TextColumns>))]
#[command(after_help = "\
Files are plain text (a sentence or a paragraph a line, a blank line between documents) or JSON lines with
a document each, also as .gz or .zst; or a folder of shards, which are text that is tokenised already.

Every epoch masks other words. The evaluation is the share of masked words that are predicted right, in
4,096 examples at most. A model that is then trained for vectors or labels knows more of the field.

Examples:
  bert train fill-mask --model google-bert/bert-base-uncased --train notes.txt --eval more-notes.txt \\
      --out my-model
  bert train fill-mask --train articles.jsonl.gz --field body --mask-rate 0.2 --whole-words --out my-model
  bert train fill-mask --out my-model --resume
  bert fill-mask --model my-model \"The patient has a [MASK].\"")]
pub struct FillMaskCommand {
    #[command(flatten)]
    settings: Settings<TextColumns>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The text alone.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct TextColumns {
    #[command(flatten)]
    #[serde(flatten)]
    text: TextArgs,
}

impl Columns for TextColumns {
    fn usual() -> TrainOptions {
        TrainOptions { max_length: Some(ExampleOptions::default().max_length), ..TrainOptions::default() }
    }
}

impl FillMaskCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, reporter)?;
        let job = Job::new("train fill-mask", self.run, self.settings)?;
        let base = job.open_model(reporter)?;
        let options = job.settings.options();
        let text = &job.settings.columns.text;
        let options = ExampleOptions {
            max_length: options.longest(&base),
            next_sentence: false,
            masking: text.masking(),
            seed: options.seed,
            ..ExampleOptions::default()
        };
        options.check().map_err(bert_tasks::Error::from)?;
        let examples = |files: &[PathBuf], folder: &str| -> Result<Examples> {
            let shards = text.shards(reporter, &base, files, &job.out.join(folder))?;
            Ok(Examples::new(shards, options.clone()).map_err(bert_tasks::Error::from)?)
        };
        let train = examples(&job.train, "shards")?;
        let eval = job.eval.as_ref().map(|file| examples(std::slice::from_ref(file), "eval-shards"));
        let objective = Pretraining::new(train, eval.transpose()?, MOST);
        job.go(reporter, sink, &base, &objective)
    }
}
