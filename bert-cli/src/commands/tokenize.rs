//! `bert tokenize`: what a model sees of a text.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::Range;
use std::task::Poll;

use bert_tasks::Head;
use bert_tasks::stream::Source;
use bert_tasks::tokenizer::Tokenizer;
use clap::Args;
use serde::Serialize;

use crate::batch::{Answerer, answer_all};
use crate::built_in::BuiltIn;
use crate::error::Result;
use crate::input::{InputArgs, Inputs};
use crate::model::{Requirement, SourceArgs};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{self, visible};

const REQUIREMENT: Requirement = Requirement {
    kind: "a model with a tokenizer",
    example: "google-bert/bert-base-uncased",
    head: Head::None,
    built_in: BuiltIn::Base,
};

/// Show the tokens of texts, with their ids and their bytes
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  bert tokenize \"Unbelievable cafés\"
  bert tokenize --model google-bert/bert-base-chinese --no-special \"今天天气很好\" --json
  bert tokenize --input texts.txt --csv --output tokens.csv")]
pub struct TokenizeCommand {
    /// Texts; `-` reads lines from stdin
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// Leave out the tokens that are put around a text, such as [CLS] and [SEP]
    #[arg(long)]
    no_special: bool,

    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl TokenizeCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let inputs = Inputs::texts(&self.input, self.texts)?;
        let sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
        let tokenizer = self.source.open_tokenizer(reporter, &REQUIREMENT)?;
        let task = Tokenize { tokenizer, special: !self.no_special };
        answer_all(
            reporter,
            inputs,
            sink,
            &task,
            |texts| texts[0].clone(),
            |mut texts, tokens| Tokenized { text: texts.swap_remove(0), tokens },
        )
    }
}

struct Tokenize {
    tokenizer: Tokenizer,
    special: bool,
}

impl Answerer for Tokenize {
    type Input = String;
    type Answer = Vec<Token>;

    fn answers<'a>(
        &'a self,
        mut inputs: impl Source<Item = String> + 'a,
    ) -> impl Iterator<Item = bert_tasks::Result<Vec<Token>>> + 'a {
        let texts = std::iter::from_fn(move || match inputs.try_next() {
            Poll::Ready(text) => text,
            Poll::Pending => inputs.next(),
        });
        texts.map(|text| {
            let encoded = match self.special {
                true => self.tokenizer.encode(&text)?,
                false => self.tokenizer.encode_without_special(&text)?,
            };
            let token = |(&id, range): (&u32, Option<Range<usize>>)| Token {
                id,
                token: self.tokenizer.token_text(id).unwrap_or_default(),
                range,
            };
            let ranges = encoded.sources.iter().map(|source| source.map(|source| source.range()));
            Ok(encoded.ids.iter().zip(ranges).map(token).collect())
        })
    }
}

#[derive(Serialize)]
struct Tokenized {
    text: String,
    tokens: Vec<Token>,
}

/// A token, and its bytes in the text if it stands there.
#[derive(Serialize)]
struct Token {
    id: u32,
    token: String,
    range: Option<Range<usize>>,
}

impl Record for Tokenized {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["id", "token", "start", "end"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let place = |at: Option<usize>| at.map(|at| at.to_string()).unwrap_or_default();
        let row = |Token { id, token, range }: &Token| {
            let [start, end] =
                [range.as_ref().map(|range| range.start), range.as_ref().map(|range| range.end)];
            vec![id.to_string(), token.clone(), place(start), place(end)]
        };
        self.tokens.iter().map(row).collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        if page.titled {
            writeln!(page, "{}", screen.paint(style::STRONG, visible(&self.text)))?;
        }
        page.table(|table| {
            for token in &self.tokens {
                let word = visible(&token.token);
                match &token.range {
                    Some(range) => {
                        let (start, end) = (range.start, range.end);
                        let source = visible(&self.text[range.clone()]);
                        let source = screen.paint(style::VALUE, source);
                        writeln!(table, "  {}\t{word}\t{start}..{end}\t{source}", token.id)?;
                    }
                    None => writeln!(table, "  {}\t{}", token.id, screen.paint(style::FAINT, word))?,
                }
            }
            Ok(())
        })
    }
}
