//! `bert train choose`: a model that chooses between endings.

use bert_tasks::data::Format;
use bert_tasks::data::multiple_choice;
use bert_tasks::training::MultipleChoice;
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::{Deserialize, Serialize};

use super::job::{Job, RunArgs, tell_cut};
use super::settings::{Columns, Settings};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Sink};
use crate::reporter::Reporter;

/// Train a model to choose which of several endings goes with a beginning
#[derive(Args, Debug)]
#[command(after_help = "\
Files are CSV or TSV with SWAG's columns (sent1, sent2, ending0 to ending3, label), or JSON lines such as
  {\"question\": \"A cat says\", \"choices\": [\"moo.\", \"meow.\"], \"label\": 1}
also as .gz or .zst. A label is the number of the choice, from 0, or its letter. All examples to train on
have the same number of choices. The evaluation is accuracy.

Examples:
  bert train choose --model google-bert/bert-base-uncased --train swag/train.csv --eval swag/val.csv \\
      --out my-model
  bert train choose --train quiz.jsonl --epochs 5 --out my-model
  bert train choose --out my-model --resume")]
pub struct ChooseCommand {
    #[command(flatten)]
    settings: Settings<ChoiceColumns>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How the files are read.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Examples")]
#[serde(default, rename_all = "kebab-case")]
struct ChoiceColumns {
    /// The format of the files, if their names do not tell
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(["csv", "tsv", "jsonl"]))]
    format: Option<String>,
}

impl Columns for ChoiceColumns {}

impl ChooseCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, reporter)?;
        let job = Job::new("train choose", self.run, self.settings)?;
        let format = job.settings.columns.format.as_deref().map(str::parse::<Format>).transpose();
        let format = format.map_err(bert_tasks::Error::from)?;
        let (train, eval) = job.examples(|path| multiple_choice::read(path, format))?;
        let base = job.open_model(reporter)?;
        let objective = MultipleChoice::new(&base, train, eval)?;
        if let Some(label) = objective.only_label() {
            reporter.warning(format_args!(
                "choice {label} is the right one in all examples; are the labels missing?"
            ));
        }
        let longest = job.settings.options().longest(&base);
        tell_cut(reporter, objective.longer_than(longest)?, longest);
        job.go(reporter, sink, &base, &objective)
    }
}
