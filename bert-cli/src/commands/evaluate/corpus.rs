//! Raw text as examples, for `bert evaluate mlm` and `bert evaluate nsp`.

use std::cell::Cell;
use std::path::Path;

use bert_tasks::Pretrained;
use bert_tasks::pretraining::{Epoch, ExampleOptions, Examples};
use clap::Args;
use tempfile::TempDir;

use super::super::train::TextArgs;
use super::job::{JobArgs, count_arg};
use crate::error::{Error, Result};
use crate::values::positive;

/// How text becomes examples.
#[derive(Args, Debug)]
#[command(next_help_heading = "Corpus")]
pub struct CorpusArgs {
    /// The largest number of examples
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = count_arg)]
    examples: u64,

    /// The longest example in tokens; the model may impose less
    #[arg(long, value_name = "TOKENS", default_value = "128", value_parser = positive, allow_negative_numbers = true)]
    max_length: usize,

    #[command(flatten)]
    text: TextArgs,
}

/// The examples that a model is asked about.
pub struct Masked {
    pub epoch: Epoch,
    pub count: u64,
    /// Tells tokenizers apart.
    hash: [u8; 32],
    name: String,
    /// Where the tokenised text is, until all is done.
    _folder: TempDir,
}

impl CorpusArgs {
    /// Tokenises the text into a temporary folder, and makes examples of it.
    ///
    /// # Errors
    /// Text that cannot be read; settings that make no sense.
    pub fn examples(
        &self,
        data: &Path,
        seed: u64,
        next_sentence: bool,
        files: &Pretrained,
    ) -> bert_tasks::Result<Masked> {
        let temporary = |source| bert_tasks::Error::ReadFile { path: std::env::temp_dir(), source };
        let folder = tempfile::tempdir().map_err(temporary)?;
        let corpus = self.text.corpus(&[data.to_owned()]);
        let (shards, _) = corpus.shards(files.tokenizer(), &folder.path().join("shards"))?;
        let hash = shards.vocabulary().hash();
        let options = ExampleOptions {
            max_length: self.max_length.min(files.config().max_tokens()),
            next_sentence,
            masking: self.text.masking(),
            seed,
            ..ExampleOptions::default()
        };
        let epoch = Examples::new(shards, options)?.epoch(0);
        let count = epoch.len().min(self.examples);
        Ok(Masked { epoch, count, hash, name: files.source().to_string(), _folder: folder })
    }
}

/// The tokenizer of the first model, which that of another has to be like.
#[derive(Default)]
pub struct SameTokenizer {
    first: Cell<Option<(String, [u8; 32])>>,
}

impl SameTokenizer {
    /// Compares a tokenizer with the first one.
    ///
    /// # Errors
    /// [`Error::OtherTokenizer`] if it is another one.
    pub fn check(&self, masked: &Masked) -> Result<()> {
        let first = self.first.take().unwrap_or_else(|| (masked.name.clone(), masked.hash));
        let (name, hash) = first.clone();
        self.first.set(Some(first));
        match hash == masked.hash {
            true => Ok(()),
            false => Err(Error::OtherTokenizer { first: name, second: masked.name.clone() }),
        }
    }
}

impl JobArgs {
    /// The examples of its data.
    ///
    /// # Errors
    /// As [`CorpusArgs::examples`].
    pub fn masked(
        &self,
        corpus: &CorpusArgs,
        next_sentence: bool,
        files: &Pretrained,
    ) -> bert_tasks::Result<Masked> {
        corpus.examples(&self.data, self.seed, next_sentence, files)
    }
}
