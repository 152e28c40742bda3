//! `bert evaluate swag`: which ending fits.

use bert_tasks::Precision;
use bert_tasks::data::Format;
use bert_tasks::data::multiple_choice;
use bert_tasks::evaluation::tasks::multiple_choice::evaluate;
use bert_tasks::evaluation::{self, Means};
use bert_tasks::{Device, MultipleChoice, Pretrained};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::super::choose;
use super::job::{Evaluation, JobArgs, Kind, Run, count, failed};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;

const KIND: Kind = Kind { name: "swag", card_task: "multiple-choice", requirement: &choose::REQUIREMENT };

/// Which ending fits: SWAG's CSV, or JSON lines with choices
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  bert evaluate swag -m path/to/model --data val.csv
  bert evaluate swag -m path/to/model --data hellaswag.jsonl --errors wrong.jsonl")]
pub struct SwagCommand {
    /// The format of the file, if its name does not tell
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(["csv", "tsv", "jsonl"]))]
    format: Option<String>,

    #[command(flatten)]
    job: JobArgs,
}

impl SwagCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let format = self.format.as_deref().map(str::parse::<Format>).transpose().map_err(failed)?;
        let examples = count(multiple_choice::read(&self.job.data, format).map_err(failed)?)?;
        self.job.run(reporter, &KIND, &Endings { command: &self, format, examples })
    }
}

struct Endings<'a> {
    command: &'a SwagCommand,
    format: Option<Format>,
    examples: u64,
}

impl Evaluation for Endings<'_> {
    type Task = MultipleChoice;
    type Measure = Means<1>;

    fn load(
        &self,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
    ) -> bert_tasks::Result<MultipleChoice> {
        MultipleChoice::from_pretrained(files, device, precision)
    }

    fn evaluate(&self, task: &MultipleChoice, run: &mut Run<'_>) -> Result<evaluation::Outcome<Means<1>>> {
        run.begin(self.examples)?;
        let examples = multiple_choice::read(&self.command.job.data, self.format).map_err(failed)?;
        evaluate(task, examples, |judged| run.judged(&judged))
    }
}
