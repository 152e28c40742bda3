//! `bert train answer`: a model that finds the answers to questions in texts, as `bert answer` uses it.

use std::path::Path;

use bert_tasks::data;
use bert_tasks::data::squad::{Dataset, read_mrqa};
use bert_tasks::question_answering::QuestionAnsweringOptions;
use bert_tasks::training::{QuestionAnswering, QuestionCounts, TrainOptions};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::job::{Job, RunArgs};
use super::settings::{Columns, Settings, tell_usual};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Sink};
use crate::reporter::Reporter;
use crate::style::{counted, thousands};
use crate::values::positive;

/// Train a model to find the answers to questions in texts
#[derive(Args, Debug)]
#[command(mut_args(tell_usual::<QuestionColumns>))]
#[command(after_help = "\
Files are SQuAD's JSON, 1.1 or 2.0, or the JSON lines (.jsonl) of MRQA, also as .gz or .zst.

Texts longer than --max-length are read through windows that begin --doc-stride tokens apart. A window
without the answer, and a question without one, point at the first token, which means \"no answer\".
The evaluation gives SQuAD's F1 and exact matches from 0 to 1. Where it has questions without an
answer, it also says how good the best threshold of `bert answer --no-answer-threshold` would be.

Examples:
  bert train answer --model google-bert/bert-base-uncased --train train-v1.1.json --eval dev-v1.1.json \\
      --epochs 2 --lr 3e-5 --out my-model
  bert train answer --model my-model --train faq.json --max-length 256 --out another-model
  bert train answer --out my-model --resume
  bert answer --model my-model --context seine.txt \"Where does the Seine rise?\"")]
pub struct AnswerCommand {
    #[command(flatten)]
    settings: Settings<QuestionColumns>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How questions and texts are read.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Windows")]
#[serde(default, rename_all = "kebab-case")]
struct QuestionColumns {
    /// The distance in tokens from the start of one window of a long text to the start of the next [default: 128]
    #[arg(long, value_name = "TOKENS", value_parser = positive, allow_negative_numbers = true)]
    doc_stride: Option<usize>,

    /// Longer questions are cut to so many tokens [default: 64]
    #[arg(long, value_name = "TOKENS", value_parser = positive, allow_negative_numbers = true)]
    max_question_tokens: Option<usize>,

    /// The longest answer that the evaluation gives, in tokens [default: 30]
    #[arg(long, value_name = "TOKENS", value_parser = positive, allow_negative_numbers = true)]
    max_answer_tokens: Option<usize>,
}

impl Columns for QuestionColumns {
    fn usual() -> TrainOptions {
        let max_length = Some(QuestionAnsweringOptions::default().max_length);
        TrainOptions { epochs: 2, learning_rate: 3e-5, max_length, ..TrainOptions::default() }
    }
}

impl QuestionColumns {
    fn options(&self, max_length: usize) -> QuestionAnsweringOptions {
        let usual = QuestionAnsweringOptions::default();
        QuestionAnsweringOptions {
            max_length,
            doc_stride: self.doc_stride.unwrap_or(usual.doc_stride),
            max_question_tokens: self.max_question_tokens.unwrap_or(usual.max_question_tokens),
            max_answer_tokens: self.max_answer_tokens.unwrap_or(usual.max_answer_tokens),
            n_best: 0,
            ..usual
        }
    }
}

impl AnswerCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let sink = Sink::open(&self.output, false, reporter)?;
        let job = Job::new("train answer", self.run, self.settings)?;
        let mut files = job.train.iter().map(|path| read(path));
        let mut train = files.next().expect("there is one at least")?;
        for file in files {
            train.data.extend(file?.data);
        }
        let eval = job.eval.as_deref().map(read).transpose()?;
        let base = job.open_model(reporter)?;
        let longest = job.settings.options().longest(&base);
        let objective = QuestionAnswering::new(&base, train, eval, job.settings.columns.options(longest))?;
        tell(reporter, &objective.counts(), longest);
        job.go(reporter, sink, &base, &objective)
    }
}

/// Reads a file of either form.
fn read(path: &Path) -> Result<Dataset> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
    let dataset = || match name.ends_with(".jsonl") {
        true => Ok(Dataset::of_paragraphs(path, read_mrqa(path)?.collect::<data::Result<_>>()?)),
        false => Dataset::open(path),
    };
    let dataset = dataset().map_err(bert_tasks::Error::from)?;
    // Here, where the file is known, and not when all files are one set.
    dataset.examples().try_for_each(|example| example.map(drop)).map_err(bert_tasks::Error::from)?;
    if dataset.qas().next().is_none() {
        return Err(Error::NoExamples { path: path.to_owned() });
    }
    Ok(dataset)
}

/// Says what becomes of questions that are out of the ordinary.
fn tell(reporter: &Reporter, counts: &QuestionCounts, longest: usize) {
    let QuestionCounts { long, cut, without_tokens, without_window, .. } = *counts;
    if long > 0 {
        let questions = thousands(counts.questions as u64);
        reporter.notice(format_args!(
            "questions about texts longer than {longest} tokens, which take several windows: {} of {questions}",
            thousands(long as u64)
        ));
    }
    if cut > 0 {
        let cut = counted(cut as u64, "question is", "questions are");
        reporter.warning(format_args!("{cut} too long, and cut"));
    }
    if without_window > 0 {
        let answers = counted(without_window as u64, "answer is", "answers are");
        reporter.warning(format_args!("{answers} longer than a window, and not learnt"));
    }
    if without_tokens > 0 {
        let answers =
            counted(without_tokens as u64, "answer without a token is", "answers without a token are");
        reporter.warning(format_args!("{answers} left out"));
    }
}
