//! `bert evaluate summary`: summaries against those that people wrote.

use bert_tasks::Precision;
use bert_tasks::data::summaries;
use bert_tasks::evaluation::tasks::summary::evaluate;
use bert_tasks::evaluation::{self, Means, Measure};
use bert_tasks::{Device, Pretrained, Summarizer};
use clap::Args;

use super::super::summarize::{REQUIREMENT, SummaryArgs};
use super::job::{Evaluation, JobArgs, Kind, Run, count, failed};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;

const KIND: Kind = Kind { name: "summary", card_task: "summarization", requirement: &REQUIREMENT };

/// Summaries against those that people wrote: JSON lines or a table with text and summary
#[derive(Args, Debug)]
#[command(after_help = "\
The figures are ROUGE-1, ROUGE-2 and ROUGE-L (F1, without a stemmer), and the same of as many first
sentences of each text. Where these are better, that is said.

Examples:
  bert evaluate summary --data news.jsonl
  bert evaluate summary --data news.jsonl --method text-rank --words 60 -m path/to/embedding-model")]
pub struct SummaryCommand {
    #[command(flatten)]
    summary: SummaryArgs,
    #[command(flatten)]
    job: JobArgs,
}

impl SummaryCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let examples = count(summaries::read(&self.job.data).map_err(failed)?)?;
        self.job.run(reporter, &KIND, &Documents { command: &self, examples })
    }
}

struct Documents<'a> {
    command: &'a SummaryCommand,
    examples: u64,
}

impl Evaluation for Documents<'_> {
    type Task = Summarizer;
    type Measure = Means<6>;

    fn load(
        &self,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
    ) -> bert_tasks::Result<Summarizer> {
        Summarizer::from_pretrained(files, device, precision)
    }

    fn evaluate(&self, task: &Summarizer, run: &mut Run<'_>) -> Result<evaluation::Outcome<Means<6>>> {
        run.begin(self.examples)?;
        let examples = summaries::read(&self.command.job.data).map_err(failed)?;
        let outcome =
            evaluate(task, &self.command.summary.options(), examples, |judged| run.judged(&judged))?;
        let values = outcome.measure.values(&outcome.observations.iter().collect::<Vec<_>>());
        let names = outcome.measure.names();
        let better = |at: &usize| values[at + 3] > values[*at];
        let better: Vec<&str> = (0..3).filter(better).map(|at| names[at].as_str()).collect();
        if !better.is_empty() {
            let figures = better.join(", ");
            run.warn(format_args!(
                "the first sentences of the texts (lead) are a better summary by {figures}"
            ));
        }
        Ok(outcome)
    }
}
