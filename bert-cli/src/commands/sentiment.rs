//! `bert sentiment`, also `bert classify`: the labels of a text.

use std::borrow::Cow;
use std::io::{self, Write};

use bert_tasks::Head;
use bert_tasks::ProblemType;
use bert_tasks::TextClassification;
use bert_tasks::records::TextClassificationRecord;
use bert_tasks::text_classification::{LabelScore, Text, TextClassificationOptions};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::batch::answer_all;
use crate::built_in;
use crate::error::Result;
use crate::input::{InputArgs, Inputs};
use crate::model::{ModelArgs, Requirement};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{self, bar, visible};
use crate::values::positive;

pub(super) const REQUIREMENT: Requirement = Requirement {
    kind: "a sequence classifier",
    example: "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    head: Head::SequenceClassification,
    built_in: built_in::SENTIMENT,
};

/// Label texts: their sentiment, or what a classifier knows
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  bert sentiment --model distilbert/distilbert-base-uncased-finetuned-sst-2-english \\
      \"A gorgeous, witty, seductive movie.\"
  bert classify --model path/to/entailment-model --pair \"A man sleeps.\" \"A person is awake.\"
  bert classify --model path/to/topics --input texts.csv --column body --keep id --top-k 1 -o topics.csv")]
pub struct SentimentCommand {
    /// Texts; `-` reads lines from stdin
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// Take two texts at a time, for a classifier of pairs: fields text and pair in JSON and CSV
    #[arg(long)]
    pair: bool,

    /// How many labels to show for each text, best first; all, if not given
    #[arg(short = 'k', long, value_name = "COUNT", value_parser = positive, allow_negative_numbers = true)]
    top_k: Option<usize>,

    /// Leave out labels whose score is less
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    min_score: Option<f32>,

    /// What the scores mean, if the model's configuration is wrong about it
    #[arg(long, value_name = "KIND", value_enum)]
    scores: Option<Scores>,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scores {
    /// One label out of several: probabilities that sum to 1
    Single,
    /// Any number of labels: a probability for each
    Multi,
    /// Numbers as they are
    Regression,
}

impl From<Scores> for ProblemType {
    fn from(scores: Scores) -> Self {
        match scores {
            Scores::Single => Self::SingleLabelClassification,
            Scores::Multi => Self::MultiLabelClassification,
            Scores::Regression => Self::Regression,
        }
    }
}

impl SentimentCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let inputs = match self.pair {
            true => Inputs::pairs(&self.input, ["text", "pair"], self.texts)?,
            false => Inputs::texts(&self.input, self.texts)?,
        };
        let sink = Sink::for_inputs(&self.output, &inputs, reporter)?;
        let options =
            TextClassificationOptions { top_k: self.top_k, problem_type: self.scores.map(Into::into) };
        let task = self.model.load(reporter, &REQUIREMENT, |files, device, precision| {
            TextClassification::from_pretrained(files, device, precision)?.with_options(options)
        })?;
        let probabilities = task.problem_type() != ProblemType::Regression;
        let text = |texts: &[String]| Text { text: texts[0].clone(), pair: texts.get(1).cloned() };
        answer_all(reporter, inputs, sink, &task, text, |texts, mut answer| {
            if let Some(least) = self.min_score {
                answer.scores.retain(|label| label.score >= least);
            }
            let record = TextClassificationRecord { text: text(&texts), answer };
            Labelled { record, probabilities }
        })
    }
}

/// A record, and whether its scores are shares that a bar can show.
#[derive(Serialize)]
struct Labelled {
    #[serde(flatten)]
    record: TextClassificationRecord,
    #[serde(skip)]
    probabilities: bool,
}

impl Record for Labelled {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        let pair = self.record.text.pair.iter().map(|_| "pair");
        ["text"].into_iter().chain(pair).chain(["label", "score"]).map(Cow::Borrowed).collect()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |score: &LabelScore| {
            let Text { text, pair } = &self.record.text;
            let mut row = vec![text.clone()];
            row.extend(pair.clone());
            row.extend([score.label.clone(), score.score.to_string()]);
            row
        };
        self.record.answer.scores.iter().map(row).collect()
    }

    fn cut(&self) -> Option<usize> {
        self.record.answer.truncated.iter().flatten().map(|range| range.start).next()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        if page.titled {
            let Text { text, pair } = &self.record.text;
            write!(page, "{}", screen.paint(style::STRONG, visible(text)))?;
            if let Some(pair) = pair {
                write!(page, "  {}", screen.paint(style::STRONG, visible(pair)))?;
            }
            writeln!(page)?;
        }
        page.table(|table| {
            for label in &self.record.answer.scores {
                write!(table, "  {}\t{:.4}", visible(&label.label), label.score)?;
                if screen.terminal && self.probabilities {
                    write!(table, "\t{}", screen.paint(style::VALUE, bar(label.score, 24)))?;
                }
                writeln!(table)?;
            }
            Ok(())
        })
    }
}
