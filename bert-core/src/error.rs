//! The one error type of this crate: what was asked, what was found, what to do.
//!
//! A message does not repeat its cause; print the chain of [`source`](std::error::Error::source)s.

use std::path::PathBuf;

use crate::contract::Precision;
use crate::graph::Head;
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

    /// A word, such as a precision or a device, that is not one of the known ones.
    #[error("unknown {what} {found:?}; the known ones are {known}")]
    UnknownWord {
        /// What the word should have named.
        what: &'static str,
        /// The word.
        found: String,
        /// The words that would have been right.
        known: &'static str,
    },

    /// A configuration file that cannot be read.
    #[error("cannot read {}", path.display())]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A configuration that is not valid JSON, or whose fields have the wrong type.
    #[error("config.json is not a model configuration")]
    ConfigJson(#[from] serde_json::Error),

    /// A configuration asks for something that this model graph does not have, or contradicts itself.
    #[error("config.json: {field} is {found}; {expected}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would have been right.
        expected: String,
    },

    /// A task was asked of a checkpoint that was fine-tuned for another one.
    #[error("this checkpoint is a {found}, made for {made_for}; it has no head for {asked}")]
    WrongHead {
        /// The head that the caller needs.
        asked: Head,
        /// The class that `config.json` names under `architectures`.
        found: String,
        /// The head that this class has.
        made_for: Head,
    },

    /// An output was asked for that needs a head the model was loaded without.
    #[error("the model was loaded for {loaded}, which gives no {asked}")]
    MissingOutput {
        /// The output.
        asked: &'static str,
        /// The head that the model was loaded with.
        loaded: Head,
    },

    /// A batch that the model cannot take.
    #[error("sequence {sequence}: {what} {found} is out of range; the model takes {limit}")]
    Batch {
        /// The index of the sequence in the batch.
        sequence: usize,
        /// Which property of the sequence.
        what: &'static str,
        /// Its value.
        found: usize,
        /// The values that would have been right.
        limit: String,
    },

    /// A forward pass was asked for with nothing to compute.
    #[error("the {what} is empty; there is nothing to compute")]
    Empty {
        /// What should have held something.
        what: &'static str,
    },

    /// A label that training was given and that the model does not have.
    #[error("label {found} is out of range; labels are below {count}")]
    Label {
        /// Its index.
        found: usize,
        /// How many there are, counted from 0.
        count: usize,
    },

    /// An operation of the graph has no gradient here.
    #[error("cannot compute the gradient of {word}: {reason}")]
    Gradient {
        /// The word, as the trait names it.
        word: &'static str,
        /// Why.
        reason: &'static str,
    },

    /// A backend cannot compute in the precision that was asked for.
    #[error("backend {backend} cannot compute in {precision}; it has {}", list(available))]
    Precision {
        /// The backend's name.
        backend: String,
        /// The precision.
        precision: Precision,
        /// What it can compute in.
        available: Vec<Precision>,
    },

    /// The device failed: it was lost, ran out of memory, or refused a command.
    #[error("the device of backend {backend} failed")]
    Device {
        /// The backend's name.
        backend: &'static str,
        /// What the driver said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A model file cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
}

/// Words separated by commas.
fn list(words: &[impl ToString]) -> String {
    words.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
