//! A model's answers to the examples of a file, judged one by one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter;

use serde::Serialize;
use serde_json::Value;

use super::{EvaluationError, Measure};
use crate::data::{DataError, Place};
use crate::{Error, Task};

/// An example with the model's answer, for those who want to look at what went wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// The line of the file, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What the example is called, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What was asked.
    pub input: Value,
    /// What is right.
    pub gold: Value,
    /// What the model said.
    pub answer: Value,
    /// How sure it was, or how near it came, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Whether it was right. Of answers that are numbers, none is right or wrong.
    #[serde(skip)]
    pub right: Option<bool>,
    /// Whether the model did not see all of it, because it was too long.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl Judged {
    pub(super) fn at(place: &Place) -> Option<u64> {
        Some(place.line).filter(|&line| line > 0)
    }
}

/// What is known of a model after all examples.
#[derive(Clone, Debug)]
pub struct Outcome<M: Measure> {
    /// The figures that the examples allow.
    pub measure: M,
    /// What they are made of, for each example.
    pub observations: Vec<M::Observation>,
    /// A hash of each answer, to be compared with another model's; `None` of answers that are numbers.
    answers: Vec<Option<u64>>,
}

impl<M: Measure> Outcome<M> {
    pub(super) fn new(measure: M) -> Self {
        Self { measure, observations: vec![], answers: vec![] }
    }

    /// Keeps what the figures need of an example, and of its answer what tells whether another model's is the same.
    pub(super) fn keep(&mut self, observation: M::Observation, judged: &Judged) {
        self.observations.push(observation);
        self.answers.push(judged.right.map(|_| {
            let mut hasher = DefaultHasher::new();
            judged.answer.to_string().hash(&mut hasher);
            hasher.finish()
        }));
    }

    /// How many answers are other ones than another model's; `None` where answers are numbers, of which nearly all
    /// would be.
    pub fn changed(&self, other: &Self) -> Option<usize> {
        let differ = |(one, other): (&Option<u64>, &Option<u64>)| Some((*one)? != (*other)?);
        let differ = self.answers.iter().zip(&other.answers).map(differ);
        differ.map(|differ| differ.map(usize::from)).sum()
    }
}

/// Answers examples in their order, and hands each to `take` with its answer. Some of them are held at a time,
/// however many there are.
///
/// An example that cannot be read or answered ends it: figures of the others would be figures of other data.
pub(super) fn answer_each<T: Task, X, Q: Into<T::Input>, E: From<Error>>(
    task: &T,
    examples: impl IntoIterator<Item = Result<X, DataError>>,
    ask: impl Fn(&X) -> Q,
    place: impl Fn(&X) -> Option<Place>,
    mut take: impl FnMut(X, T::Answer) -> Result<(), E>,
) -> Result<(), E> {
    let mut examples = examples.into_iter();
    let waiting = RefCell::new(VecDeque::new());
    let broken = Cell::new(None);
    let asked = iter::from_fn(|| match examples.next()? {
        Ok(example) => {
            let input = ask(&example);
            waiting.borrow_mut().push_back(example);
            Some(input)
        }
        Err(error) => {
            broken.set(Some(error));
            None
        }
    });
    for answer in task.stream(asked) {
        let Some(example) = waiting.borrow_mut().pop_front() else { break };
        match (answer, place(&example)) {
            (Ok(answer), _) => take(example, answer)?,
            (Err(source), Some(place)) => {
                let source = Box::new(source);
                return Err(Error::from(EvaluationError::Answer { place, source }).into());
            }
            (Err(error), None) => return Err(error.into()),
        }
    }
    match broken.take() {
        Some(error) => Err(Error::from(error).into()),
        None => Ok(()),
    }
}
