//! `bert tokenizer train`: a vocabulary out of raw text.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use bert_tasks::data::text::{self, paragraphs};
use bert_tasks::tokenizer::{WordPieceOptions, WordPieceTrainer};
use clap::{Args, Subcommand, ValueHint};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{counted, thousands, visible};
use crate::values::{positive, up_to};

/// Make a tokenizer of your own
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct TokenizerCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Train(TrainCommand),
}

/// Make a WordPiece vocabulary from raw text, as BERT's was made
#[derive(Args, Debug)]
#[command(after_help = "\
The folder gets vocab.txt, tokenizer.json and tokenizer_config.json, which this program and the usual
libraries read. The same text and settings give the same vocabulary.

Examples:
  bert tokenizer train --corpus books.txt.zst wiki.txt --out my-tokenizer
  bert tokenizer train --corpus german.jsonl --field body --cased --size 20000 --out german
  bert tokenize --model my-tokenizer \"Unbelievable\"")]
struct TrainCommand {
    /// Files of text: plain, or JSON lines with a text each; also .gz and .zst
    #[arg(long, value_name = "FILE", num_args = 1.., required = true, value_hint = ValueHint::FilePath)]
    corpus: Vec<PathBuf>,

    /// The folder for the tokenizer, which must not hold one yet
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    out: PathBuf,

    /// The largest number of tokens in the vocabulary
    #[arg(long, value_name = "COUNT", default_value_t = WordPieceOptions::default().size, value_parser = up_to::<10_000_000>)]
    size: usize,

    /// Make a cased vocabulary, which keeps upper and lower case
    #[arg(long)]
    cased: bool,

    /// Keep accents; otherwise they are removed, unless --cased is given
    #[arg(long)]
    keep_accents: bool,

    /// Do not split Chinese text into single characters
    #[arg(long)]
    no_chinese: bool,

    /// How often two pieces must occur side by side to be merged
    #[arg(long, value_name = "COUNT", default_value_t = WordPieceOptions::default().min_frequency)]
    min_frequency: u64,

    /// The largest number of different characters; the most frequent ones are kept
    #[arg(long, value_name = "COUNT", default_value_t = WordPieceOptions::default().limit_alphabet, value_parser = positive)]
    limit_alphabet: usize,

    /// The field of JSON lines that holds the text
    #[arg(long, value_name = "NAME", default_value = "text")]
    field: String,

    #[command(flatten)]
    output: OutputArgs,
}

impl TokenizerCommand {
    /// Does what is asked.
    ///
    /// # Errors
    /// Whatever ended it early.
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        match self.action {
            Action::Train(command) => command.run(reporter),
        }
    }
}

impl TrainCommand {
    fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let mut sink = Sink::open(&self.output, false, reporter)?;
        if let Some(name) = ["vocab.txt", "tokenizer.json"].iter().find(|name| self.out.join(name).exists()) {
            return Err(Error::Exists { path: self.out.join(name) });
        }
        let options = WordPieceOptions {
            size: self.size,
            lowercase: !self.cased,
            strip_accents: self.keep_accents.then_some(false),
            tokenize_chinese_chars: !self.no_chinese,
            min_frequency: self.min_frequency,
            limit_alphabet: self.limit_alphabet,
        };
        let mut trainer = WordPieceTrainer::new(options);
        let text = text::Options { field: self.field, ..text::Options::default() };
        for paragraph in paragraphs(&self.corpus, &text) {
            let paragraph = paragraph.map_err(bert_tasks::Error::from)?;
            trainer.add(&paragraph.text).map_err(bert_tasks::Error::from)?;
        }
        let words = trainer.words();
        reporter.notice(counted(words as u64, "different word", "different words"));
        let vocabulary = trainer.train().map_err(bert_tasks::Error::from)?;
        vocabulary.save(&self.out).map_err(bert_tasks::Error::from)?;
        let (tokens, folder) = (vocabulary.tokens().len(), self.out.display().to_string());
        sink.write(None, &Made { words, tokens, folder })?;
        sink.finish()?;
        Ok(Outcome::Done)
    }
}

/// What came out.
#[derive(Serialize)]
struct Made {
    /// Different words of the text.
    words: usize,
    /// Tokens of the vocabulary.
    tokens: usize,
    /// Where it is.
    folder: String,
}

impl Record for Made {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["words", "tokens", "folder"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        vec![vec![self.words.to_string(), self.tokens.to_string(), self.folder.clone()]]
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        page.table(|table| {
            writeln!(table, "  words\t{}", thousands(self.words as u64))?;
            writeln!(table, "  tokens\t{}", thousands(self.tokens as u64))?;
            writeln!(table, "  tokenizer\t{}", visible(&self.folder))
        })
    }
}
