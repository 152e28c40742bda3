//! `bert train fill-mask`: a masked language model goes on with raw text, as `bert fill-mask` uses it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bert_tasks::Pretrained;
use bert_tasks::data::text;
use bert_tasks::pretraining::{
    BuildOptions, ExampleOptions, Examples, Masking, Shards, Vocabulary, build_shards,
};
use bert_tasks::training::{Pretraining, TrainOptions};
use clap::Args;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::job::{Job, RunArgs};
use super::settings::{Columns, Settings, tell_usual};
use crate::Outcome;
use crate::error::{Error, Result};
use crate::output::{OutputArgs, Sink};
use crate::style::thousands;
use crate::talk::Talk;

/// How many examples to evaluate on at most.
const MOST: u64 = 4096;

/// Train a model on with raw text, so that it knows the words of a field
#[derive(Args, Debug)]
#[command(mut_args(tell_usual::<TextColumns>))]
#[command(after_help = "\
Files are plain text (a sentence or a paragraph a line, a blank line between documents) or JSON lines with
a document each, also as .gz or .zst; or a folder of shards, which are text that is tokenised already.

Every epoch masks other words. The evaluation is the share of masked words that are guessed, of 4,096
examples at most. A model whose vectors or labels are to be trained knows more of a field after this.

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

/// How the text is read, and what is masked.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Text")]
#[serde(default, rename_all = "kebab-case")]
struct TextColumns {
    /// The field of JSON objects that holds the text [default: text]
    #[arg(long, value_name = "NAME")]
    field: Option<String>,

    /// Whether every line of plain text is a document of its own
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    document_per_line: Option<bool>,

    /// The share of the tokens that is to be guessed [default: 0.15]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    mask_rate: Option<f64>,

    /// Whether the pieces of a word are masked together
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    whole_words: Option<bool>,
}

impl Columns for TextColumns {
    fn usual() -> TrainOptions {
        TrainOptions { max_length: Some(ExampleOptions::default().max_length), ..TrainOptions::default() }
    }
}

impl TextColumns {
    fn text(&self) -> text::Options {
        let usual = text::Options::default();
        text::Options {
            field: self.field.clone().unwrap_or(usual.field),
            document_per_line: self.document_per_line.unwrap_or(usual.document_per_line),
            ..usual
        }
    }

    fn examples(&self, options: &TrainOptions, base: &Pretrained) -> ExampleOptions {
        let usual = Masking::default();
        ExampleOptions {
            max_length: options.longest(base),
            next_sentence: false,
            masking: Masking {
                rate: self.mask_rate.unwrap_or(usual.rate),
                whole_words: self.whole_words.unwrap_or(usual.whole_words),
                ..usual
            },
            seed: options.seed,
            ..ExampleOptions::default()
        }
    }
}

impl FillMaskCommand {
    pub fn run(self, talk: &Talk) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, talk)?;
        let job = Job::new("train fill-mask", self.run, self.settings)?;
        let base = job.open_model(talk)?;
        let own = &job.settings.columns;
        let options = own.examples(&job.settings.options(), &base);
        let train = Text::open(&job.train, &base, &own.text())?;
        let eval = job
            .eval
            .as_ref()
            .map(|path| Text::open(std::slice::from_ref(path), &base, &own.text()))
            .transpose()?;
        let (documents, tokens) = (train.shards.documents(), train.shards.tokens());
        talk.notice(format_args!(
            "{} tokens in {} documents to train on",
            thousands(tokens),
            thousands(documents as u64)
        ));
        let examples = |text: &Text| {
            Examples::new(Arc::clone(&text.shards), options.clone()).map_err(bert_tasks::Error::from)
        };
        let eval = eval.as_ref().map(examples).transpose()?;
        let objective = Pretraining::new(examples(&train)?, eval, MOST);
        job.go(talk, sink, &base, &objective)
    }
}

/// Text that is tokenised.
struct Text {
    shards: Arc<Shards>,
    /// Where shards lie that were made for this run. What makes them gives the same ones after a break.
    _folder: Option<TempDir>,
}

impl Text {
    fn open(paths: &[PathBuf], base: &Pretrained, options: &text::Options) -> Result<Self> {
        let vocabulary = || Vocabulary::new(base.tokenizer()).map_err(bert_tasks::Error::from);
        let open = |folder: &Path| -> Result<Arc<Shards>> {
            let shards = Shards::open_folder(folder, vocabulary()?).map_err(bert_tasks::Error::from)?;
            Ok(Arc::new(shards))
        };
        if let [path] = paths
            && path.is_dir()
        {
            return Ok(Self { shards: open(path)?, _folder: None });
        }
        let name = || std::env::temp_dir().display().to_string();
        let folder =
            TempDir::with_prefix("bert-train-").map_err(|source| Error::Write { name: name(), source })?;
        let paragraphs = text::paragraphs(paths, options);
        let built = build_shards(paragraphs, base.tokenizer(), folder.path(), &BuildOptions::default());
        if built.map_err(bert_tasks::Error::from)?.documents == 0 {
            return Err(Error::NoExamples { path: paths[0].clone() });
        }
        Ok(Self { shards: open(folder.path())?, _folder: Some(folder) })
    }
}
