//! `bert train classify`: a model that labels texts, as `bert classify` uses it.

use bert_tasks::ProblemType;
use bert_tasks::data::classification::{self, Options};
use bert_tasks::training::Classification;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::job::{Job, RunArgs, tell_cut};
use super::settings::{Columns, Settings};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Sink};
use crate::reporter::Reporter;

/// Train a model to label texts, or pairs of texts
#[derive(Args, Debug)]
#[command(after_help = "\
Files are CSV, TSV or JSON lines, also as .gz or .zst. Columns are found by the usual names (text or
sentence, or sentence1 and sentence2, and label) or are given.

The folder gets the model, which `bert classify --model FOLDER` uses, metrics.jsonl with each step,
config.toml that repeats the run, and a state to resume from. Ctrl-C ends the step, saves a state and
says how to continue; a second one ends at once. However a run ended, even by a kill, --resume leads to
the same model as a run without a break.

Examples:
  bert train classify --train reviews.tsv --eval dev.tsv --out my-model
  bert train classify --model google-bert/bert-base-uncased --train mnli.jsonl --epochs 2 \\
      --text-column premise --pair-column hypothesis --label-column gold_label --out my-model
  bert train classify --model roberta-base --train reviews.tsv --lora --lr 5e-4 --out my-adapter
  bert train classify --out my-model --resume
  bert train classify --config my-model/config.toml --seed 2 --out another-model")]
pub struct ClassifyCommand {
    #[command(flatten)]
    settings: Settings<TextColumns>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How the files are read.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Columns")]
#[serde(default, rename_all = "kebab-case")]
pub struct TextColumns {
    /// The column of the text: its name, or its number from 1
    #[arg(long, value_name = "COLUMN")]
    text_column: Option<String>,

    /// The column of the second text, for pairs
    #[arg(long, value_name = "COLUMN")]
    pair_column: Option<String>,

    /// The column of the label, the labels or the score
    #[arg(long, value_name = "COLUMN")]
    label_column: Option<String>,

    /// What the labels are [default: single]
    #[arg(long, value_name = "KIND", value_enum)]
    labels: Option<Labels>,

    /// The format of the files, if their names do not tell
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(["csv", "tsv", "jsonl", "label-first"]))]
    format: Option<String>,

    /// Whether the first row of a table holds the names of its columns; detected, if not given
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    header: Option<bool>,
}

impl Columns for TextColumns {}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Labels {
    /// One label out of several
    Single,
    /// Any number of labels: a JSON list, or names with | between them
    Multi,
    /// A number
    Regression,
}

impl TextColumns {
    /// The options of the reader that say so.
    ///
    /// # Errors
    /// A format that there is not.
    pub fn options(&self) -> Result<Options> {
        let format = self.format.as_deref().map(str::parse).transpose();
        Ok(Options {
            format: format.map_err(bert_tasks::Error::from)?,
            header: self.header,
            text: self.text_column.clone(),
            second: self.pair_column.clone(),
            label: self.label_column.clone(),
            problem: self.labels.map(|labels| match labels {
                Labels::Single => ProblemType::SingleLabelClassification,
                Labels::Multi => ProblemType::MultiLabelClassification,
                Labels::Regression => ProblemType::Regression,
            }),
        })
    }
}

impl ClassifyCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, reporter)?;
        let job = Job::new("train classify", self.run, self.settings)?;
        let options = job.settings.columns.options()?;
        let (train, eval) = job.examples(|path| classification::read(path, &options))?;
        let base = job.open_model(reporter)?;
        let objective = Classification::new(&base, train, eval)?;
        let longest = job.settings.options().longest(&base);
        tell_cut(reporter, objective.longer_than(longest)?, longest);
        job.go(reporter, sink, &base, &objective)
    }
}
