//! What can be wrong with a result.

use super::compare::Difference;

/// Why a case did not pass.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The backend refused or its device failed.
    #[error("the backend says: {}", crate::error::with_causes(.0))]
    Backend(#[from] bert_core::Error),

    /// The backend panicked.
    #[error("the backend panicked: {0}")]
    Panic(String),

    /// `download` gave back more or fewer tensors than were asked for.
    #[error("download was asked for {asked} tensors and gave {found}")]
    Count { asked: usize, found: usize },

    /// The result has another shape.
    #[error("expected shape {expected:?}, found {found:?}")]
    Shape { expected: Vec<usize>, found: Vec<usize> },

    /// The result has other numbers.
    #[error("{0}")]
    Values(Difference),

    /// An operation wrote to its input, or to what lies around it.
    #[error("the operation changed its input, or what lies around it: {input}")]
    InputChanged { input: String },

    /// A file of recorded outputs that cannot be read.
    #[error("the recorded outputs cannot be read: {0}")]
    Recorded(String),

    /// What has to be the same to the last bit is not: a part computed alone, or with other threads.
    #[error("{what} has other bits: first at {index:?}, {found:e} instead of {wanted:e}")]
    OtherBits { what: String, index: Vec<usize>, found: f64, wanted: f64 },
}
