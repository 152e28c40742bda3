//! `bert evaluate squad`: answers to questions about texts.

use std::path::PathBuf;

use bert_tasks::Precision;
use bert_tasks::evaluation::tasks::squad::{self, QuestionFigures, SquadOptions};
use bert_tasks::evaluation::{self, PredictionFiles, read_null_odds, read_predictions};
use bert_tasks::question_answering::QuestionAnsweringOptions;
use bert_tasks::question_answering::squad::Dataset;
use bert_tasks::{Device, Pretrained, QuestionAnswering};
use clap::{Args, ValueHint};

use super::job::{Evaluation, JobArgs, Kind, Run, failed};
use crate::commands::answer::REQUIREMENT;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;
use crate::style::counted;
use crate::values::positive;

const KIND: Kind = Kind { name: "squad", card_task: "question-answering", requirement: &REQUIREMENT };

/// Answers to questions about texts: SQuAD 1.1 and 2.0
#[derive(Args, Debug)]
#[command(after_help = "\
The figures are those of the official scripts. For a file in which some questions have no answer,
they are those of SQuAD 2.0, with the best thresholds swept over the model's own odds of
\"no answer\".

Examples:
  bert evaluate squad -m path/to/model --data dev-v1.1.json
  bert evaluate squad -m path/to/model --data dev-v2.0.json --predictions predictions/ --json
  bert evaluate squad --data dev-v2.0.json --predictions-file predictions.json \\
      --null-odds null_odds.json")]
pub struct SquadCommand {
    /// Write predictions.json, nbest_predictions.json and, for SQuAD 2.0, null_odds.json into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "predictions_file", value_hint = ValueHint::DirPath)]
    predictions: Option<PathBuf>,

    /// Score these predictions, without a model
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["compare", "compare_precision"],
        value_hint = ValueHint::FilePath
    )]
    predictions_file: Option<PathBuf>,

    /// The odds of "no answer" that belong to the predictions
    #[arg(long, value_name = "FILE", requires = "predictions_file", value_hint = ValueHint::FilePath)]
    null_odds: Option<PathBuf>,

    /// Count an answer as "no answer" if its odds of "no answer" are greater than this [default: 0; with --null-odds 1,
    /// as the official script has it]
    #[arg(long, value_name = "ODDS", allow_negative_numbers = true)]
    no_answer_threshold: Option<f64>,

    /// Report ROUGE-1, ROUGE-2 and ROUGE-L as well, which see the letters a to z and digits alone
    #[arg(long)]
    rouge: bool,

    /// The longest answer in tokens
    #[arg(long, value_name = "TOKENS", default_value = "30", value_parser = positive, allow_negative_numbers = true)]
    max_answer_tokens: usize,

    /// The longest sequence in tokens, question and context together
    #[arg(long, value_name = "TOKENS", default_value = "384", value_parser = positive, allow_negative_numbers = true)]
    max_length: usize,

    /// The distance in tokens from the start of one window of a long context to the start of the next
    #[arg(long, value_name = "TOKENS", default_value = "128", value_parser = positive, allow_negative_numbers = true)]
    doc_stride: usize,

    #[command(flatten)]
    job: JobArgs,
}

impl SquadCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let dataset = Dataset::open(&self.job.data).map_err(failed)?;
        let Some(predictions) = &self.predictions_file else {
            return self.job.run(reporter, &KIND, &Squad { command: &self, dataset });
        };
        // A model of the variable is that of other commands.
        if self.job.model.source.model.is_some() && std::env::var_os("BERT_MODEL").is_none() {
            reporter.warning("--model has no effect: --predictions-file is scored without a model");
        }
        let predictions = read_predictions(predictions).map_err(failed)?;
        let odds = self.null_odds.as_ref().map(|path| read_null_odds(path).map_err(failed)).transpose()?;
        let missing = dataset.qas().filter(|qa| !predictions.contains_key(&qa.id)).count();
        if missing > 0 {
            let missing = counted(
                missing as u64,
                "question has no prediction, and counts",
                "questions have no prediction, and count",
            );
            reporter.warning(format_args!("{missing} as wrong"));
        }
        let threshold = self.no_answer_threshold.unwrap_or(1.0);
        self.job.run_without_model(reporter, &KIND, |run| {
            run.begin(dataset.qas().count() as u64)?;
            let each = |judged| run.judged(&judged);
            squad::evaluate_predictions(&dataset, &predictions, odds.as_ref(), threshold, self.rouge, each)
        })
    }
}

struct Squad<'a> {
    command: &'a SquadCommand,
    dataset: Dataset,
}

impl Evaluation for Squad<'_> {
    type Task = QuestionAnswering;
    type Measure = QuestionFigures;

    fn load(
        &self,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
    ) -> bert_tasks::Result<QuestionAnswering> {
        let options = QuestionAnsweringOptions {
            max_answer_tokens: self.command.max_answer_tokens,
            max_length: self.command.max_length,
            doc_stride: self.command.doc_stride,
            ..QuestionAnsweringOptions::default()
        };
        QuestionAnswering::from_pretrained(files, device, precision)?.with_options(options)
    }

    fn evaluate(
        &self,
        task: &QuestionAnswering,
        run: &mut Run<'_>,
    ) -> Result<evaluation::Outcome<QuestionFigures>> {
        run.begin(self.dataset.qas().count() as u64)?;
        let version_2 = self.dataset.qas().any(|qa| qa.answers.is_empty());
        let folder = self.command.predictions.as_ref().filter(|_| run.first);
        let files = folder.map(|folder| PredictionFiles::create(folder, version_2));
        let mut files = files.transpose().map_err(failed)?;
        let options = SquadOptions {
            threshold: self.command.no_answer_threshold.unwrap_or(0.0),
            rouge: self.command.rouge,
        };
        let each = |judged| run.judged(&judged);
        let outcome = squad::evaluate(task, &self.dataset, options, files.as_mut(), each)?;
        files.map(PredictionFiles::finish).transpose().map_err(failed)?;
        Ok(outcome)
    }
}
