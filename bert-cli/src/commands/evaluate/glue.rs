//! `bert evaluate glue`: the nine tasks of GLUE.

use std::path::PathBuf;

use bert_tasks::Precision;
use bert_tasks::data::glue::{self, Task as Glue};
use bert_tasks::evaluation;
use bert_tasks::evaluation::tasks::classification::{LabelMap, TextFigures};
use bert_tasks::evaluation::tasks::glue::{GlueLabels, Submission, evaluate};
use bert_tasks::text_classification::TextClassificationOptions;
use bert_tasks::{Device, Head, Pretrained, ProblemType, Task, TextClassification};
use clap::{Args, ValueHint};

use super::job::{Evaluation, JobArgs, Kind, Run, count, failed};
use crate::built_in::BuiltIn;
use crate::error::Result;
use crate::model::Requirement;
use crate::outcome::Outcome;
use crate::reporter::Reporter;

const REQUIREMENT: Requirement = Requirement {
    kind: "a text classification model",
    example: "textattack/bert-base-uncased-MRPC",
    head: Head::SequenceClassification,
    built_in: BuiltIn::None,
};

const KIND: Kind = Kind { name: "glue", card_task: "text-classification", requirement: &REQUIREMENT };

/// The nine tasks of GLUE, in their files as published
#[derive(Args, Debug)]
#[command(after_help = "\
The model's labels are matched with the task's by name, since checkpoints disagree on their order.
Where a model has no names (LABEL_0, LABEL_1), give them in its order with --label-names.

Test files have no labels: --predictions writes what GLUE takes, index<TAB>prediction.

Examples:
  bert evaluate glue --task mrpc -m path/to/model --data MRPC/dev.tsv
  bert evaluate glue --task mnli-m -m path/to/model --data MNLI/dev_matched.tsv \\
      --label-names contradiction,entailment,neutral
  bert evaluate glue --task cola -m path/to/model --data CoLA/test.tsv --predictions submission/")]
pub struct GlueCommand {
    /// cola, sst-2, mrpc, sts-b, qqp, mnli-m, mnli-mm, qnli, rte or wnli
    #[arg(long, value_name = "TASK")]
    task: String,

    /// The names of the model's labels, in its order
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    label_names: Option<Vec<String>>,

    /// Write the task's submission file into this folder
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    predictions: Option<PathBuf>,

    #[command(flatten)]
    job: JobArgs,
}

impl GlueCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let task: Glue = self.task.parse().map_err(failed)?;
        let examples = count(glue::read(&self.job.data, task).map_err(failed)?)?;
        self.job.run(reporter, &KIND, &Files { command: &self, task, examples })
    }
}

struct Files<'a> {
    command: &'a GlueCommand,
    task: Glue,
    examples: u64,
}

impl Evaluation for Files<'_> {
    type Task = TextClassification;
    type Measure = TextFigures;

    fn load(
        &self,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
    ) -> bert_tasks::Result<TextClassification> {
        let problem_type = Some(match self.task {
            Glue::StsB => ProblemType::Regression,
            _ => ProblemType::SingleLabelClassification,
        });
        TextClassification::from_pretrained(files, device, precision)?
            .with_options(TextClassificationOptions { problem_type, top_k: None })
    }

    fn evaluate(
        &self,
        task: &TextClassification,
        run: &mut Run<'_>,
    ) -> Result<evaluation::Outcome<TextFigures>> {
        let names = self.command.label_names.as_deref();
        let labels = LabelMap::new(&task.session().config().labels, names).map_err(failed)?;
        let labels = GlueLabels::new(self.task, &labels).map_err(failed)?;
        run.begin(self.examples)?;
        let folder = self.command.predictions.as_ref().filter(|_| run.first);
        let submission = folder.map(|folder| Submission::create(folder, self.task));
        let mut submission = submission.transpose().map_err(failed)?;
        let examples = glue::read(&self.command.job.data, self.task).map_err(failed)?;
        let each = |judged| run.judged(&judged);
        let outcome = evaluate(task, self.task, &labels, examples, submission.as_mut(), each)?;
        submission.map(Submission::finish).transpose().map_err(failed)?;
        Ok(outcome)
    }

    fn predicts(&self) -> bool {
        self.command.predictions.is_some()
    }
}
