//! Questions about texts, by the rules of SQuAD 1.1 and 2.0.

use std::collections::HashMap;

use serde_json::json;

use super::super::metrics::rouge::{Rouge, rouge_l, rouge_n};
use super::super::metrics::squad::{Judgement, SquadFigures, judge};
use super::super::run::answer_each;
use super::super::{Judged, Measure, Outcome, PredictionFiles};
use crate::question_answering::Question;
use crate::question_answering::squad::{Dataset, Qa};
use crate::{Error, QuestionAnswering};

/// What is reported of answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SquadOptions {
    /// No answer is given if its odds are greater than this; for SQuAD 2.0.
    pub threshold: f64,
    /// Whether ROUGE is reported, too.
    pub rouge: bool,
}

impl Default for SquadOptions {
    fn default() -> Self {
        Self { threshold: 0.0, rouge: false }
    }
}

/// The figures of the official script, and ROUGE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuestionFigures {
    /// Those of the official script.
    pub squad: SquadFigures,
    /// Whether ROUGE is among them: F1 in percent over the questions that have an answer, each with the answer that
    /// is best for it.
    pub rouge: bool,
}

/// What is kept of a question.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuestionObservation {
    /// For the official figures.
    pub judged: Judgement,
    /// The F1 of ROUGE-1, ROUGE-2 and ROUGE-L.
    pub rouge: [f64; 3],
}

impl Measure for QuestionFigures {
    type Observation = QuestionObservation;

    fn names(&self) -> Vec<String> {
        let mut names = self.squad.names();
        if self.rouge {
            names.extend(["rouge1", "rouge2", "rougeL"].map(str::to_owned));
        }
        names
    }

    fn values(&self, sample: &[&QuestionObservation]) -> Vec<f64> {
        let judged: Vec<&Judgement> = sample.iter().map(|observation| &observation.judged).collect();
        let mut values = self.squad.values(&judged);
        if self.rouge {
            let answerable = || sample.iter().filter(|observation| observation.judged.has_answer);
            let mean = |at: usize| {
                100.0 * answerable().map(|observation| observation.rouge[at]).sum::<f64>()
                    / answerable().count() as f64
            };
            values.extend([0, 1, 2].map(mean));
        }
        values
    }
}

/// Evaluates a model on all questions of a data set.
///
/// The best thresholds are swept over the best answer to each question, whether or not the threshold of the options
/// takes it back; the files of predictions have them taken back. The model's own
/// [`no_answer_threshold`](crate::question_answering::QuestionAnsweringOptions::no_answer_threshold) should not be
/// given.
///
/// # Errors
/// A device that fails; files that cannot be written; an error of `each`.
pub fn evaluate<E: From<Error>>(
    task: &QuestionAnswering,
    dataset: &Dataset,
    options: SquadOptions,
    mut files: Option<&mut PredictionFiles>,
    mut each: impl FnMut(Judged) -> Result<(), E>,
) -> Result<Outcome<QuestionFigures>, E> {
    let version_2 = has_unanswerable(dataset);
    let threshold = version_2.then_some(options.threshold);
    let squad = SquadFigures { version_2, sweep: version_2, threshold };
    let mut outcome = Outcome::new(QuestionFigures { squad, rouge: options.rouge });
    let questions = dataset.questions().map(Ok);
    let ask = |(_, question): &(&Qa, Question)| question.clone();
    answer_each(
        task,
        questions,
        ask,
        |_| None,
        |(qa, question), answers| {
            let best = answers.answers.first().map_or("", |answer| &*answer.text);
            let odds = answers.no_answer_odds.map(f64::from);
            let taken_back = threshold.is_some_and(|threshold| odds.is_some_and(|odds| odds > threshold));
            let prediction = if taken_back { "" } else { best };
            if let Some(files) = &mut files {
                files.add(&qa.id, prediction, &answers).map_err(|error| E::from(error.into()))?;
            }
            let raw = judge(qa, Some(best), odds);
            let score = answers.answers.first().map(|answer| f64::from(answer.score));
            let shown = Shown { question, prediction, score, cut: answers.truncated.is_some() };
            keep(&mut outcome, qa, raw, shown, &mut each)
        },
    )?;
    Ok(outcome)
}

/// Scores predictions that exist already, as the official script does: with `odds`, answers whose odds of "no answer"
/// are greater than `threshold` are taken back, and the best thresholds are swept.
///
/// # Errors
/// An error of `each`.
pub fn evaluate_predictions<E>(
    dataset: &Dataset,
    predictions: &HashMap<String, String>,
    odds: Option<&HashMap<String, f64>>,
    threshold: f64,
    rouge: bool,
    mut each: impl FnMut(Judged) -> Result<(), E>,
) -> Result<Outcome<QuestionFigures>, E> {
    let version_2 = has_unanswerable(dataset) || odds.is_some();
    let threshold = odds.map(|_| threshold);
    let squad = SquadFigures { version_2, sweep: odds.is_some(), threshold };
    let mut outcome = Outcome::new(QuestionFigures { squad, rouge });
    for (qa, question) in dataset.questions() {
        let prediction = predictions.get(&qa.id).map(String::as_str);
        let raw = judge(qa, prediction, odds.and_then(|odds| odds.get(&qa.id)).copied());
        let answered = threshold.map_or(raw, |threshold| raw.with_threshold(threshold)).answered;
        let prediction = prediction.filter(|_| answered).unwrap_or_default();
        keep(&mut outcome, qa, raw, Shown { question, prediction, score: None, cut: false }, &mut each)?;
    }
    Ok(outcome)
}

/// Whether some questions have no answer, which makes it SQuAD 2.0.
fn has_unanswerable(dataset: &Dataset) -> bool {
    dataset.qas().any(|qa| qa.answers.is_empty())
}

/// What is shown of a question.
struct Shown<'a> {
    question: Question,
    prediction: &'a str,
    score: Option<f64>,
    /// Whether the question was too long; contexts never are.
    cut: bool,
}

fn keep<E>(
    outcome: &mut Outcome<QuestionFigures>,
    qa: &Qa,
    raw: Judgement,
    shown: Shown<'_>,
    each: &mut impl FnMut(Judged) -> Result<(), E>,
) -> Result<(), E> {
    let Shown { question, prediction, score, cut } = shown;
    let exact = match outcome.measure.squad.threshold {
        Some(threshold) => raw.with_threshold(threshold).exact,
        None => raw.exact,
    };
    let rouge = match outcome.measure.rouge {
        true => best_rouge(qa, prediction),
        false => [0.0; 3],
    };
    let golds: Vec<&str> = qa.answers.iter().map(|gold| &*gold.text).collect();
    let judged = Judged {
        line: None,
        id: Some(qa.id.clone()),
        input: json!({"question": question.question, "context": question.context}),
        gold: json!(golds),
        answer: json!(prediction),
        score,
        right: Some(exact == 1.0),
        cut,
    };
    outcome.keep(QuestionObservation { judged: raw, rouge }, &judged);
    each(judged)
}

fn best_rouge(qa: &Qa, prediction: &str) -> [f64; 3] {
    let best = |rouge: &dyn Fn(&str, &str) -> Rouge| {
        qa.answers.iter().map(|gold| rouge(&gold.text, prediction).f1()).fold(0.0, f64::max)
    };
    [
        best(&|gold, answer| rouge_n(gold, answer, 1)),
        best(&|gold, answer| rouge_n(gold, answer, 2)),
        best(&rouge_l),
    ]
}
