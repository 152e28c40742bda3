//! Raw text as examples: what `bert pretrain` and `bert train fill-mask` share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bert_tasks::Pretrained;
use bert_tasks::data::text;
use bert_tasks::pretraining::{Corpus, Masking, Shards, Vocabulary};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::reporter::Reporter;
use crate::style::counted;

/// How text is read, and what is masked.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Text")]
#[serde(default, rename_all = "kebab-case")]
pub struct TextArgs {
    /// The field of JSON lines that holds the text [default: text]
    #[arg(long, value_name = "NAME")]
    field: Option<String>,

    /// Whether every line of plain text is a document of its own
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    document_per_line: Option<bool>,

    /// The share of the tokens to predict [default: 0.15]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    mask_rate: Option<f64>,

    /// Whether the pieces of a word are masked together
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    whole_words: Option<bool>,
}

impl TextArgs {
    /// What is masked.
    pub fn masking(&self) -> Masking {
        let usual = Masking::default();
        Masking {
            rate: self.mask_rate.unwrap_or(usual.rate),
            whole_words: self.whole_words.unwrap_or(usual.whole_words),
            ..usual
        }
    }

    /// Files of text, read so.
    pub fn corpus(&self, files: &[PathBuf]) -> Corpus {
        let usual = text::Options::default();
        let text = text::Options {
            field: self.field.clone().unwrap_or(usual.field),
            document_per_line: self.document_per_line.unwrap_or(usual.document_per_line),
            ..usual
        };
        Corpus { files: files.to_owned(), text, ..Corpus::default() }
    }

    /// The shards of some files of text, made in a folder unless they are there; or of a folder of shards.
    ///
    /// # Errors
    /// Text that cannot be read, or that has no token; a folder that holds the shards of another text.
    pub fn shards(
        &self,
        reporter: &Reporter,
        base: &Pretrained,
        files: &[PathBuf],
        folder: &Path,
    ) -> Result<Arc<Shards>> {
        if let [given] = files
            && given.is_dir()
        {
            let vocabulary = Vocabulary::new(base.tokenizer()).map_err(bert_tasks::Error::from)?;
            return Ok(Arc::new(Shards::open_folder(given, vocabulary).map_err(bert_tasks::Error::from)?));
        }
        let (shards, built) =
            self.corpus(files).shards(base.tokenizer(), folder).map_err(bert_tasks::Error::from)?;
        if built.is_some() {
            reporter.notice(format_args!(
                "{} in {}, kept in {}",
                counted(shards.tokens(), "token", "tokens"),
                counted(shards.documents() as u64, "document", "documents"),
                folder.display()
            ));
        }
        Ok(Arc::new(shards))
    }
}
