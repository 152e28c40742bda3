//! `bert next-sentence`: whether one text follows another.

use std::borrow::Cow;
use std::io::{self, Write};

use bert_tasks::Head;
use bert_tasks::NextSentence;
use bert_tasks::next_sentence::TextPair;
use bert_tasks::records::NextSentenceRecord;
use clap::Args;

use crate::batch::answer_all;
use crate::built_in::BuiltIn;
use crate::error::Result;
use crate::input::{InputArgs, Inputs};
use crate::model::{ModelArgs, Requirement};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{self, bar, visible};

pub(super) const REQUIREMENT: Requirement = Requirement {
    kind: "a BERT with a next-sentence head, as they are pre-trained",
    example: "google-bert/bert-base-uncased",
    head: Head::NextSentence,
    built_in: BuiltIn::Base,
};

/// Tell whether the second text follows the first
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  bert next-sentence \"He opened the door.\" \"The room was empty.\"
  bert next-sentence --model path/to/bert --input pairs.csv --column before --column after --csv
  if bert next-sentence --exit-code -q -o /dev/null \"$A\" \"$B\"; then echo \"B follows A\"; fi

A line of a .txt file holds both texts, separated by a tab; JSONL and CSV have them in first and second.")]
pub struct NextSentenceCommand {
    /// The two texts, each in quotes; `-` reads lines from stdin
    #[arg(value_names = ["FIRST", "SECOND"], num_args = 1..=2)]
    texts: Vec<String>,

    /// Exit with status 1 if the second text does not follow (of several pairs: if any does not)
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl NextSentenceCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let inputs = Inputs::pairs(&self.input, ["first", "second"], self.texts)?;
        let sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
        let task = self.model.load(reporter, &REQUIREMENT, NextSentence::from_pretrained)?;
        let mut all_follow = true;
        let pair = |texts: Vec<String>| {
            let [first, second] = texts.try_into().expect("the input has pairs");
            TextPair { first, second }
        };
        let outcome = answer_all(
            reporter,
            inputs,
            sink,
            &task,
            |texts| pair(texts.to_vec()),
            |texts, answer| {
                all_follow &= answer.follows;
                NextSentenceRecord { pair: pair(texts), answer }
            },
        )?;
        Ok(match outcome {
            Outcome::Done if self.exit_code && !all_follow => Outcome::Negative,
            outcome => outcome,
        })
    }
}

impl Record for NextSentenceRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["first", "second", "follows", "is_next"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let Self { pair, answer } = self;
        let [follows, is_next] = [answer.follows.to_string(), answer.is_next.to_string()];
        vec![vec![pair.first.clone(), pair.second.clone(), follows, is_next]]
    }

    fn cut(&self) -> Option<usize> {
        self.answer.truncated.iter().flatten().map(|range| range.start).next()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        let (style, verdict) = match self.answer.follows {
            true => (style::GOOD, "follows"),
            false => (style::BAD, "does not follow"),
        };
        write!(page, "{:.4}  ", self.answer.is_next)?;
        // As wide as the longer one, if something follows.
        match screen.terminal || page.titled {
            true => write!(page, "{:<15}", screen.paint(style, verdict))?,
            false => write!(page, "{}", screen.paint(style, verdict))?,
        }
        if screen.terminal {
            write!(page, "  {:<24}", screen.paint(style::VALUE, bar(self.answer.is_next, 24)))?;
        }
        if page.titled {
            write!(page, "  {}  {}", visible(&self.pair.first), visible(&self.pair.second))?;
        }
        writeln!(page)
    }
}
