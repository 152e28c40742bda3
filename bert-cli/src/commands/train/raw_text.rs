//! Raw text as an objective, and models that begin there: what `bert pretrain` and `bert distil` share.

use std::path::{Path, PathBuf};

use bert_tasks::ModelConfig;
use bert_tasks::checkpoint;
use bert_tasks::pretraining::{ExampleOptions, Examples};
use bert_tasks::training::{self, Pretraining};
use bert_tasks::{Head, ParameterSource};
use bert_tasks::{ModelSource, Pretrained};
use clap::{Args, ValueHint};
use serde::{Deserialize, Serialize};

use super::corpus::TextArgs;
use super::job::Job;
use super::settings::Columns;
use crate::error::Result;
use crate::input::read_text;
use crate::reporter::Reporter;

/// How text becomes examples.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Corpus")]
#[serde(default, rename_all = "kebab-case")]
pub struct RawTextArgs {
    /// Where the tokenised text is kept, to be used again with the same files; in the folder of the run, if not given
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub shards: Option<PathBuf>,

    /// Whether examples are pairs, for next sentence prediction [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    next_sentence: Option<bool>,

    /// The share of documents that are cut into shorter examples [default: 0.1]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    short_sequence_share: Option<f64>,

    /// How many examples to evaluate the model on [default: 1000]
    #[arg(long, value_name = "COUNT")]
    eval_examples: Option<u64>,

    #[command(flatten)]
    #[serde(flatten)]
    text: TextArgs,
}

impl RawTextArgs {
    /// The head that is trained, where pairs are usual or not.
    pub fn head(&self, pairs: bool) -> Head {
        if self.next_sentence.unwrap_or(pairs) { Head::PreTraining } else { Head::MaskedLm }
    }

    /// The text of a run, tokenised and ready to be masked.
    ///
    /// # Errors
    /// Settings that make no sense; text that cannot be read.
    pub fn objective<C: Columns>(
        &self,
        job: &Job<C>,
        reporter: &Reporter,
        base: &Pretrained,
        pairs: bool,
    ) -> Result<Pretraining> {
        let (usual, options) = (ExampleOptions::default(), job.settings.options());
        let examples = ExampleOptions {
            max_length: options.longest(base),
            seed: options.seed,
            next_sentence: self.head(pairs) == Head::PreTraining,
            short_sequence_probability: self.short_sequence_share.unwrap_or(usual.short_sequence_probability),
            masking: self.text.masking(),
        };
        examples.check().map_err(bert_tasks::Error::from)?;
        let folder = self.shards.clone().unwrap_or_else(|| job.out.join("shards"));
        let made = |files: &[PathBuf], folder: &Path| -> Result<Examples> {
            let shards = self.text.shards(reporter, base, files, folder)?;
            Ok(Examples::new(shards, examples.clone()).map_err(bert_tasks::Error::from)?)
        };
        let train = made(&job.train, &folder)?;
        let eval = match &job.eval {
            Some(file) => Some(made(std::slice::from_ref(file), &job.out.join("eval-shards"))?),
            None => None,
        };
        Ok(Pretraining::new(train, eval, self.eval_examples.unwrap_or(1000)))
    }
}

/// Reads the shape of a model from a `config.json`.
///
/// # Errors
/// A file that cannot be read or is not a configuration.
pub fn shape(file: &Path) -> Result<ModelConfig> {
    let text = read_text(file, false)?;
    Ok(ModelConfig::from_json(&text).map_err(bert_tasks::Error::from)?)
}

/// A new model, kept in the folder of the run so that a resumed one begins with the same.
///
/// # Errors
/// A tokenizer that does not fit; a folder that cannot be written.
pub fn begin(
    out: &Path,
    config: &ModelConfig,
    head: Head,
    parameters: &dyn ParameterSource,
    tokenizer: &ModelSource,
) -> Result<Pretrained> {
    tokenizer.tokenizer()?.check_vocab_size(config.vocab_size).map_err(bert_tasks::Error::from)?;
    let folder = out.join("initial");
    checkpoint::save(&folder, config, head, parameters).map_err(bert_tasks::Error::from)?;
    training::copy_tokenizer(tokenizer, &folder)?;
    Ok(Pretrained::from_source(ModelSource::Folder(folder))?)
}

/// So that the file of settings repeats the run from any folder.
pub fn make_absolute<'a>(paths: impl IntoIterator<Item = &'a mut Option<PathBuf>>) {
    for path in paths.into_iter().flatten() {
        if let Ok(absolute) = std::path::absolute(&*path) {
            *path = absolute;
        }
    }
}
