//! What can keep a model from being evaluated.

use std::io;
use std::path::PathBuf;

use crate::Error;
use crate::data::Place;

/// Everything that can be wrong with an evaluation beside the model and the data themselves.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A file without an example.
    #[error("{}: no examples; there is nothing to evaluate", path.display())]
    NoExamples {
        /// The file.
        path: PathBuf,
    },

    /// A file whose examples have no labels, as the test files of GLUE.
    #[error("{}: no example has a label, so there are no figures, only predictions", path.display())]
    NoLabels {
        /// The file.
        path: PathBuf,
    },

    /// Names for the labels of a model, but not one for each.
    #[error("{found} label names for a model with {} labels: {}", known.len(), known.join(", "))]
    LabelNames {
        /// How many names were given.
        found: usize,
        /// What the model calls its labels.
        known: Vec<String>,
    },

    /// A label of an example that the model does not have.
    #[error("{place}: the model has no label {found:?}; it has {}", known.join(", "))]
    UnknownLabel {
        /// The line.
        place: Place,
        /// The label.
        found: String,
        /// What the model calls its labels.
        known: Vec<String>,
    },

    /// A model whose labels are not those of a task.
    #[error("none of the model's labels is {task}'s {}; it has {}", wanted.join(" or "), known.join(", "))]
    TaskLabels {
        /// The task.
        task: &'static str,
        /// The names that the missing label goes by.
        wanted: Vec<&'static str>,
        /// What the model calls its labels.
        known: Vec<String>,
    },

    /// A model that gives no number, where the examples have scores.
    #[error("the examples have scores, so the model must have one output; it has {found}")]
    Outputs {
        /// How many it has.
        found: usize,
    },

    /// An example that the model cannot answer.
    #[error("{place}: no answer")]
    Answer {
        /// The line.
        place: Place,
        /// Why.
        source: Box<Error>,
    },

    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file of predictions that is none.
    #[error("{}: not an object with {expected} for each question", path.display())]
    Predictions {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// Where in it and why.
        source: serde_json::Error,
    },

    /// A file that cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A model card whose metadata cannot be added to.
    #[error("{}{}: {reason}", path.display(), line.map_or(String::new(), |line| format!(":{line}")))]
    Card {
        /// The file.
        path: PathBuf,
        /// Where in it, counted from 1.
        line: Option<usize>,
        /// What is wrong with it.
        reason: String,
    },
}
