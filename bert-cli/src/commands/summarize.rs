//! `bert summarize`: the sentences of a document that say what it is about.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::PathBuf;

use bert_tasks::summary::{Length, Method, Summary, SummaryOptions, SummarySentence};
use bert_tasks::{Head, Summarizer};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use serde::Serialize;

use crate::batch::{OneByOne, answer_all};
use crate::built_in;
use crate::error::{Error, Result};
use crate::input::{InputArgs, Inputs, read_text};
use crate::model::{ModelArgs, Requirement};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink, rounded};
use crate::reporter::Reporter;
use crate::style::{self, visible};
use crate::values::positive;

pub const REQUIREMENT: Requirement = Requirement {
    kind: "a model for sentence vectors, or any BERT",
    example: "sentence-transformers/all-MiniLM-L6-v2",
    head: Head::None,
    built_in: built_in::SIMILARITY,
};

/// How a summary is made.
#[derive(Args, Debug)]
pub struct SummaryArgs {
    /// How sentences are chosen
    #[arg(long, value_name = "METHOD", default_value = "k-means", value_parser = methods())]
    method: Method,

    /// How many sentences the summary has; 3, if no length is given
    #[arg(short = 's', long, value_name = "COUNT", value_parser = positive, allow_negative_numbers = true, group = "size")]
    sentences: Option<usize>,

    /// Which share of the sentences the summary has
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, group = "size")]
    ratio: Option<f64>,

    /// How many words the summary has at most; the best sentence is there in any case
    #[arg(long, value_name = "COUNT", value_parser = positive, allow_negative_numbers = true, group = "size")]
    words: Option<usize>,

    /// Where the groups of k-means begin
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    summary_seed: u64,
}

fn methods() -> impl TypedValueParser<Value = Method> {
    PossibleValuesParser::new(Method::WORDS.map(|(word, _)| word)).try_map(|word| word.parse::<Method>())
}

impl SummaryArgs {
    pub fn options(&self) -> SummaryOptions {
        let length = match (self.sentences, self.ratio, self.words) {
            (Some(count), ..) => Length::Sentences(count),
            (_, Some(ratio), _) => Length::Ratio(ratio),
            (.., Some(words)) => Length::Words(words),
            _ => SummaryOptions::default().length,
        };
        SummaryOptions { method: self.method, length, seed: self.summary_seed, ranking: false }
    }
}

/// Pick the sentences of a document that say what it is about
#[derive(Args, Debug)]
#[command(after_help = "\
Sentences stay as they are and in their order; nothing is rewritten. `k-means` takes the sentence in the
middle of each group of like ones, `text-rank` those that are like many others, `mmr` those that are like
the text and unlike one another, `lead` the first ones, which are hard to beat for news: measure with
`bert evaluate summary`. A model for sentence vectors (--model) is better than the one that is built in.

Examples:
  bert summarize report.txt
  bert summarize report.txt --method text-rank --words 100
  bert summarize - --ratio 0.1 --json < book.txt
  bert summarize --input articles.jsonl --column body --sentences 2 --jsonl
  bert summarize report.txt --ranking --csv")]
pub struct SummarizeCommand {
    /// A text file, read as one document; `-` is stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "input")]
    file: Option<PathBuf>,

    #[command(flatten)]
    summary: SummaryArgs,

    /// Show all sentences, best first
    #[arg(long)]
    ranking: bool,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl SummarizeCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let options = SummaryOptions { ranking: self.ranking, ..self.summary.options() };
        let load = || self.model.load(reporter, &REQUIREMENT, Summarizer::from_pretrained);
        let Some(file) = &self.file else {
            if self.input.input.is_none() {
                return Err(Error::NoDocument);
            }
            let inputs = Inputs::texts(&self.input, vec![])?;
            let sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
            let model = load()?;
            let task = OneByOne(Box::new(|text: String| {
                let summary = model.summarize(&text, &options)?;
                warn_of_cut(reporter, &summary);
                Ok(summary)
            }));
            return answer_all(
                reporter,
                inputs,
                sink,
                &task,
                |texts| texts[0].clone(),
                |_, summary| SummaryRecord::new(summary),
            );
        };
        if let Some(option) = self.input.needs_file().filter(|option| *option != "--whole-file") {
            let reason = "FILE is one document; --input FILE has a document a line or row";
            return Err(Error::NoMeaning { option, reason });
        }
        let text = read_text(file, self.input.lossy)?;
        self.output.keep_input(Some(file))?;
        let mut sink = Sink::open(&self.output, false, reporter)?;
        let summary = load()?.summarize(&text, &options)?;
        warn_of_cut(reporter, &summary);
        sink.write(None, &SummaryRecord::new(summary))?;
        sink.finish()?;
        Ok(Outcome::Done)
    }
}

fn warn_of_cut(reporter: &Reporter, summary: &Summary) {
    if summary.cut > 0 {
        let cut = summary.cut;
        reporter.warning(format_args!(
            "{cut} sentences are longer than the model's input: it saw their beginnings"
        ));
    }
}

/// A summary as it is written.
#[derive(Serialize)]
struct SummaryRecord {
    /// The sentences in one line.
    text: String,
    #[serde(flatten)]
    summary: Summary,
}

impl SummaryRecord {
    fn new(summary: Summary) -> Self {
        Self { text: summary.text(), summary }
    }

    /// What is shown: the ranking, if it was asked for.
    fn shown(&self) -> &[SummarySentence] {
        if self.summary.ranking.is_empty() { &self.summary.sentences } else { &self.summary.ranking }
    }
}

impl Record for SummaryRecord {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["rank", "start", "end", "score", "sentence"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |sentence: &SummarySentence| {
            let score = sentence.score.map(|score| rounded(score).to_string()).unwrap_or_default();
            let [rank, start, end] =
                [sentence.rank, sentence.range.start, sentence.range.end].map(|x| x.to_string());
            vec![rank, start, end, score, sentence.text.clone()]
        };
        self.shown().iter().map(row).collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        for sentence in self.shown() {
            if !self.summary.ranking.is_empty() {
                write!(page, "{:>5}  ", screen.paint(style::FAINT, sentence.rank))?;
            }
            // A sentence may go over several lines of the document.
            let words: Vec<_> = sentence.text.split_whitespace().collect();
            writeln!(page, "{}", visible(&words.join(" ")))?;
        }
        if page.titled {
            writeln!(page)?;
        }
        Ok(())
    }
}
