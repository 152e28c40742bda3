//! What can be wrong with a result.

use crate::difference::Difference;

/// Why a case did not pass.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The backend refused or its device failed.
    #[error("the backend says: {}", with_causes(.0))]
    Backend(#[from] bert_core::Error),

    /// The backend panicked.
    #[error("the backend panicked: {0}")]
    Panic(String),

    /// `download` gave back more or fewer tensors than were asked for.
    #[error("download was asked for {asked} tensors and gave {found}")]
    Count {
        /// How many it was asked for.
        asked: usize,
        /// How many it gave.
        found: usize,
    },

    /// The result has another shape.
    #[error("expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The right one.
        expected: Vec<usize>,
        /// The one it has.
        found: Vec<usize>,
    },

    /// The result has other numbers.
    #[error("{0}")]
    Values(Difference),

    /// An operation wrote to its input, or to what lies around it.
    #[error("the operation changed its input, or the memory around it: {input}")]
    InputChanged {
        /// The input, with its shape and strides.
        input: String,
    },

    /// A file of recorded outputs that cannot be read.
    #[error("the recorded outputs cannot be read: {0}")]
    Recorded(String),

    /// A task decided otherwise.
    #[error("expected the answer {expected:?}, found {found:?}")]
    Answer {
        /// What the reference leads to.
        expected: Vec<String>,
        /// What the backend leads to.
        found: Vec<String>,
    },

    /// A task could not answer.
    #[error("the task says: {}", with_causes(.0.as_ref()))]
    Task(Box<dyn std::error::Error + Send + Sync>),

    /// What has to be the same to the last bit is not: a part computed alone, or with other threads.
    #[error("{what} has different bits: first at {index:?}, {found:e} instead of {wanted:e}")]
    OtherBits {
        /// Which part, or which threads.
        what: String,
        /// The first number that differs.
        index: Vec<usize>,
        /// What it is there.
        found: f64,
        /// What it is in the whole.
        wanted: f64,
    },
}

/// An error and what it was caused by, in one line.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
