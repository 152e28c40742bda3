//! `bert features`: what a model makes of each token of a text.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::Range;

use bert_tasks::Features;
use bert_tasks::Head;
use bert_tasks::embedding::cosine;
use bert_tasks::explain::occurrences;
use bert_tasks::features::{FeaturesOptions, TextFeatures, TokenFeatures};
use bert_tasks::records::FeaturesRecord;
use clap::Args;
use serde::Serialize;

use crate::batch::{Consumer, answer_all, for_each};
use crate::built_in::BuiltIn;
use crate::error::{Error, Result};
use crate::input::{InputArgs, Inputs, Item};
use crate::model::{ModelArgs, Requirement};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{self, shorten, visible};

pub(super) const REQUIREMENT: Requirement = Requirement {
    kind: "a BERT of any kind",
    example: "google-bert/bert-base-uncased",
    head: Head::None,
    built_in: BuiltIn::Base,
};

/// Show the hidden states of tokens, or compare a word in several texts
#[derive(Args, Debug)]
#[command(after_help = "\
Without --model, the built-in English model is used.

Examples:
  bert features \"They walked along the bank.\" --layer -1 --layer -2 --json
  bert features --word bank \"the bank of the river\" \"the bank of a stream\" \"money in the bank\"")]
pub struct FeaturesCommand {
    /// Texts; `-` reads lines from stdin
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// A layer: 0 is the output of the embeddings, -1 that of the last layer; may be given several times
    #[arg(short, long = "layer", value_name = "LAYER", default_value = "-1", allow_negative_numbers = true)]
    layers: Vec<i64>,

    /// Compare this word wherever it occurs, by the cosine: 1 for the same direction, 0 for nothing in common
    #[arg(short, long, value_name = "WORD")]
    word: Option<String>,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl FeaturesCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let inputs = Inputs::texts(&self.input, self.texts)?;
        let mut sink = match &self.word {
            None => Sink::for_inputs(&self.output, &inputs, reporter)?,
            Some(_) => {
                inputs.keep_nothing("--word compares all texts with one another")?;
                self.output.keep_input(inputs.path())?;
                Sink::open(&self.output, false, reporter)?
            }
        };
        let options = FeaturesOptions { layers: self.layers };
        let task = self.model.load(reporter, &REQUIREMENT, |files, device, precision| {
            Features::from_pretrained(files, device, precision)?.with_options(options)
        })?;
        let text = |texts: &[String]| texts[0].clone();
        let Some(word) = self.word else {
            let record =
                |mut texts: Vec<String>, answer| FeaturesRecord { text: texts.swap_remove(0), answer };
            return answer_all(reporter, inputs, sink, &task, text, record);
        };
        let mut comparison = Comparison::new(word);
        let count = for_each(reporter, inputs, true, &task, text, &mut comparison)?;
        sink.write(None, &comparison.finish()?)?;
        sink.finish()?;
        Ok(count.outcome(reporter))
    }
}

impl Record for FeaturesRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        let count = self.answer.tokens.first().map_or(0, |token| token.layers.iter().map(Vec::len).sum());
        let numbers = (0..count).map(|index| format!("v{index}").into());
        ["token", "start", "end"].map(Cow::Borrowed).into_iter().chain(numbers).collect()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |token: &TokenFeatures| {
            let range = token.range.as_ref();
            let place = |at: Option<usize>| at.map(|at| at.to_string()).unwrap_or_default();
            let place = [place(range.map(|range| range.start)), place(range.map(|range| range.end))];
            let numbers = token.layers.iter().flatten().map(ToString::to_string);
            std::iter::once(token.token.clone()).chain(place).chain(numbers).collect()
        };
        self.answer.tokens.iter().map(row).collect()
    }

    fn cut(&self) -> Option<usize> {
        self.answer.truncated.as_ref().map(|range| range.start)
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        if page.titled {
            writeln!(page, "{}", screen.paint(style::STRONG, visible(&self.text)))?;
        }
        let longest = self.answer.tokens.iter().map(|token| style::width(&token.token)).max().unwrap_or(0);
        for token in &self.answer.tokens {
            let numbers = token.layers.iter().flatten();
            let word = visible(&token.token);
            let blanks = " ".repeat(longest.saturating_sub(style::width(&word)));
            if screen.terminal {
                let start: Vec<String> = numbers.take(64).map(|x| format!("{x:.3}")).collect();
                let start = start.join(" ");
                let start = shorten(&start, screen.width.saturating_sub(longest + 4));
                writeln!(page, "  {}{blanks}  {start}", screen.paint(style::VALUE, word))?;
            } else {
                let numbers: Vec<String> = numbers.map(ToString::to_string).collect();
                writeln!(page, "  {word}{blanks}  {}", numbers.join(" "))?;
            }
        }
        Ok(())
    }
}

/// The places of a word, with its vectors.
struct Comparison {
    word: String,
    places: Vec<Occurrence>,
    vectors: Vec<Vec<f32>>,
}

impl Comparison {
    fn new(word: String) -> Self {
        Self { word, places: vec![], vectors: vec![] }
    }

    fn finish(self) -> Result<Compared> {
        if self.places.is_empty() {
            return Err(Error::WordNotFound { word: self.word });
        }
        let similarity = |a: &Vec<f32>| self.vectors.iter().map(|b| cosine(a, b)).collect();
        let cosines = self.vectors.iter().map(similarity).collect();
        Ok(Compared { word: self.word, occurrences: self.places, cosines })
    }
}

impl Consumer<TextFeatures> for Comparison {
    fn take(&mut self, mut item: Item, answer: TextFeatures) -> Result<Option<usize>> {
        let text = item.texts.swap_remove(0);
        for range in occurrences(&text, &self.word) {
            // Behind the cut of a text that is too long there are no tokens.
            if let Some(vector) = answer.span(range.clone()) {
                self.places.push(Occurrence { text: text.clone(), range });
                self.vectors.push(vector);
            }
        }
        Ok(answer.truncated.map(|range| range.start))
    }
}

#[derive(Serialize)]
struct Compared {
    word: String,
    occurrences: Vec<Occurrence>,
    /// The cosine of each with each, in the order of `occurrences`.
    cosines: Vec<Vec<f32>>,
}

#[derive(Serialize)]
struct Occurrence {
    text: String,
    range: Range<usize>,
}

impl Record for Compared {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["a", "a_start", "b", "b_start", "cosine"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![];
        for (i, a) in self.occurrences.iter().enumerate() {
            for (j, b) in self.occurrences.iter().enumerate().skip(i + 1) {
                rows.push(vec![
                    a.text.clone(),
                    a.range.start.to_string(),
                    b.text.clone(),
                    b.range.start.to_string(),
                    self.cosines[i][j].to_string(),
                ]);
            }
        }
        rows
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        for (index, Occurrence { text, range }) in self.occurrences.iter().enumerate() {
            let [before, word, after] =
                [&text[..range.start], &text[range.clone()], &text[range.end..]].map(visible);
            writeln!(page, "{:>3}  {before}{}{after}", index + 1, screen.paint(style::FOUND, word))?;
        }
        for (index, row) in self.cosines.iter().enumerate() {
            write!(page, "{:>3}", index + 1)?;
            for cosine in row {
                write!(page, "  {cosine:.3}")?;
            }
            writeln!(page)?;
        }
        Ok(())
    }
}
