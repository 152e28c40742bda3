//! `bert evaluate classify`: labels of texts, from any table.

use bert_tasks::Precision;
use bert_tasks::data::classification::{self, Options};
use bert_tasks::evaluation;
use bert_tasks::evaluation::tasks::classification::{LabelMap, TextFigures, evaluate};
use bert_tasks::text_classification::TextClassificationOptions;
use bert_tasks::{Device, Pretrained, ProblemType, Task, TextClassification};
use clap::Args;

use super::super::train::TextColumns;
use super::job::{Evaluation, JobArgs, Kind, Run, count, failed};
use crate::commands::sentiment::REQUIREMENT;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;

const KIND: Kind = Kind { name: "classify", card_task: "text-classification", requirement: &REQUIREMENT };

/// Labels of texts, or of pairs of texts, from CSV, TSV or JSON lines
#[derive(Args, Debug)]
#[command(after_help = "\
Labels are matched by name, whatever their case; a label 1 is also the model's LABEL_1.

Examples:
  bert evaluate classify -m path/to/model --data dev.tsv
  bert evaluate classify -m path/to/model --data reviews.jsonl --text-column body \\
      --label-column stars --label-names 1,2,3,4,5 --errors wrong.jsonl
  bert evaluate classify -m path/to/model --data emotions.jsonl --labels multi")]
pub struct ClassifyCommand {
    #[command(flatten)]
    columns: TextColumns,

    /// The names of the model's labels in the data, in the model's order
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    label_names: Option<Vec<String>>,

    #[command(flatten)]
    job: JobArgs,
}

impl ClassifyCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let options = self.columns.options()?;
        let examples = count(classification::read(&self.job.data, &options).map_err(failed)?)?;
        self.job.run(reporter, &KIND, &Texts { command: &self, options, examples })
    }
}

struct Texts<'a> {
    command: &'a ClassifyCommand,
    options: Options,
    examples: u64,
}

impl Evaluation for Texts<'_> {
    type Task = TextClassification;
    type Measure = TextFigures;

    fn load(
        &self,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
    ) -> bert_tasks::Result<TextClassification> {
        // What the labels of the data are is what the model is asked for.
        let problem_type = self.options.problem.unwrap_or(ProblemType::SingleLabelClassification);
        TextClassification::from_pretrained(files, device, precision)?
            .with_options(TextClassificationOptions { problem_type: Some(problem_type), top_k: None })
    }

    fn evaluate(
        &self,
        task: &TextClassification,
        run: &mut Run<'_>,
    ) -> Result<evaluation::Outcome<TextFigures>> {
        let names = self.command.label_names.as_deref();
        let labels = LabelMap::new(&task.session().config().labels, names).map_err(failed)?;
        run.begin(self.examples)?;
        let examples = classification::read(&self.command.job.data, &self.options).map_err(failed)?;
        evaluate(task, &labels, examples, |judged| run.judged(&judged))
    }
}
