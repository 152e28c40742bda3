//! The one error type of this crate: what was asked, what was found, what to do.

use crate::tensor::DType;

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between a model file and an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation was asked for with shapes that do not fit together.
    #[error("{op}: expected shape {expected}, found {found:?}")]
    Shape {
        /// The operation, as the trait or the graph names it.
        op: &'static str,
        /// What would have been right, in words or as a pattern such as `[tokens, 768]`.
        expected: String,
        /// What was given.
        found: Vec<usize>,
    },

    /// A tensor holds another kind of number than the operation takes.
    #[error("{op}: expected {expected}, found {found}")]
    DType {
        /// The operation, as the trait or the graph names it.
        op: &'static str,
        /// The kinds that would have been right.
        expected: &'static str,
        /// What was given.
        found: DType,
    },
}
