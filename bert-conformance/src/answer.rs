//! What tasks make of a model's numbers: decisions, which have to be equal, and scores, which have to be close.

use bert_core::contract::Precision;
use ndarray::Array1;

use crate::check::catch;
use crate::compare::{Scale, compare};
use crate::fault::Fault;
use crate::models::FLOOR;
use crate::suite::{Plan, Suite, Verdict};
use crate::tolerance::tolerance;

/// The answer of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Labels, spans, words, indices: whatever is decided.
    pub decisions: Vec<String>,
    /// Scores, vectors: whatever is a number.
    pub numbers: Vec<f64>,
}

/// Compares what a task answers on a backend, in `f32`, with what it answers on the reference.
pub fn compare_answers(
    backend: &str,
    task: &str,
    case: &str,
    found: impl FnOnce() -> Result<Answer, Fault>,
    wanted: &Answer,
) -> Verdict {
    let tolerance = tolerance("task", None, Precision::F32, backend);
    let result = catch(found).and_then(|found| {
        let numbers = |answer: &Answer| Array1::from(answer.numbers.clone()).into_dyn();
        if found.decisions != wanted.decisions {
            return Err(Fault::Answer { expected: wanted.decisions.clone(), found: found.decisions });
        }
        compare(&numbers(&found), &numbers(wanted), Scale::Row, FLOOR, tolerance)
    });
    let plan = Plan::all(0);
    let mut suite = Suite::new(backend, &plan);
    suite.judge_model(task, case.to_owned(), Precision::F32, tolerance, result);
    suite.verdicts.remove(0)
}
