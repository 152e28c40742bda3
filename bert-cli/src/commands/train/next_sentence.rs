//! `bert train next-sentence`: a model that tells whether one text follows another, as `bert next-sentence` uses it.

use bert_tasks::data::classification::{self, Options};
use bert_tasks::training::NextSentence;
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::{Deserialize, Serialize};

use super::job::{Job, RunArgs, tell_cut};
use super::settings::{Columns, Settings};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Sink};
use crate::reporter::Reporter;

/// Train a model to tell whether one text follows another
#[derive(Args, Debug)]
#[command(after_help = "\
Files are CSV, TSV or JSON lines with two texts and a label, also as .gz or .zst. Columns are found by the
usual names (sentence1, sentence2, label) or are given. The label is 1, true, yes or next for a text
that follows, and 0, false, no or random for one that does not. The evaluation is accuracy.

Examples:
  bert train next-sentence --train pairs.tsv --eval dev.tsv --out my-model
  bert train next-sentence --train turns.jsonl --text-column question --pair-column reply \\
      --label-column is_reply --out my-model
  bert train next-sentence --out my-model --resume
  bert next-sentence --model my-model \"He opened the door.\" \"The room was empty.\"")]
pub struct NextSentenceCommand {
    #[command(flatten)]
    settings: Settings<PairColumns>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How the files are read.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Columns")]
#[serde(default, rename_all = "kebab-case")]
struct PairColumns {
    /// The column of the first text: its name, or its number from 1
    #[arg(long, value_name = "COLUMN")]
    text_column: Option<String>,

    /// The column of the second text
    #[arg(long, value_name = "COLUMN")]
    pair_column: Option<String>,

    /// The column of the label
    #[arg(long, value_name = "COLUMN")]
    label_column: Option<String>,

    /// The format of the files, if their names do not tell
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(["csv", "tsv", "jsonl"]))]
    format: Option<String>,

    /// Whether the first row of a table holds the names of its columns; detected, if not given
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    header: Option<bool>,
}

impl Columns for PairColumns {}

impl PairColumns {
    fn options(&self) -> Result<Options> {
        let format = self.format.as_deref().map(str::parse).transpose();
        Ok(Options {
            format: format.map_err(bert_tasks::Error::from)?,
            header: self.header,
            text: self.text_column.clone(),
            second: self.pair_column.clone(),
            label: self.label_column.clone(),
            problem: None,
        })
    }
}

impl NextSentenceCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, reporter)?;
        let job = Job::new("train next-sentence", self.run, self.settings)?;
        let options = job.settings.columns.options()?;
        let (train, eval) = job.examples(|path| classification::read(path, &options))?;
        let base = job.open_model(reporter)?;
        let objective = NextSentence::new(&base, train, eval)?;
        let longest = job.settings.options().longest(&base);
        tell_cut(reporter, objective.longer_than(longest)?, longest);
        job.go(reporter, sink, &base, &objective)
    }
}
