//! What can be wrong with a training run.

use std::io;
use std::path::PathBuf;

use crate::data::Place;

/// Why a run cannot begin or go on. What was saved before stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// There is nothing to train on.
    #[error("there are no examples to train on")]
    NoExamples,

    /// All examples say the same.
    #[error("all {count} examples have the label {label:?}; training needs at least two labels")]
    OneLabel {
        /// The label.
        label: String,
        /// How many examples there are.
        count: usize,
    },

    /// An example with more or fewer choices than the others.
    #[error(
        "{place}: {found} choices where the first example has {expected}; all training examples need the same number"
    )]
    Choices {
        /// The line.
        place: Place,
        /// How many it has.
        found: usize,
        /// How many the others have.
        expected: usize,
    },

    /// A family whose models do not tell two texts apart, or have no pooler.
    #[error(
        "next sentence prediction needs a pooler and two segments, which {family} does not have; begin with a BERT"
    )]
    NoPairs {
        /// The family.
        family: String,
    },

    /// There is nothing to tell a pair from.
    #[error("one pair is too few to train on: the texts of the other pairs of a step are its negatives")]
    OnePair,

    /// Vectors that are made in a way that has no gradients.
    #[error("vectors pooled by {found} cannot be trained; choose cls, mean or mean-sqrt-len")]
    Pooling {
        /// How they are made.
        found: String,
    },

    /// There is no entity to learn.
    #[error("none of the examples to train on has an entity ({count} in all)")]
    NoEntities {
        /// How many examples there are.
        count: usize,
    },

    /// There is no answer to learn.
    #[error("none of the questions to train on has an answer ({count} in all)")]
    NoAnswers {
        /// How many questions there are.
        count: usize,
    },

    /// The loss or the gradients are no numbers any more.
    #[error(
        "step {step}: the {what} is not a finite number; what was saved before is intact. Try a lower learning rate or a \
         longer warm-up, or check the data"
    )]
    NotFinite {
        /// Which step, from 1.
        step: u64,
        /// The loss, or the norm of the gradients.
        what: &'static str,
    },

    /// A setting that makes no sense.
    #[error("{setting} is {found}; it must be {expected}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What would have been right.
        expected: &'static str,
    },

    /// The folder of a run cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Folder {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The folder holds a run already.
    #[error("{} holds a run already: resume it, or choose another folder", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },

    /// Another run is in progress in the folder.
    #[error("{}: another run is writing to it; wait for its end, or choose another folder", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },

    /// The folder holds no run that could go on.
    #[error("{} holds no run to resume", path.display())]
    NothingToResume {
        /// The folder.
        path: PathBuf,
    },

    /// The run in the folder had other settings, examples or a device of another kind.
    #[error("the {what} of the run to resume was {was} and is now {now}")]
    OtherRun {
        /// What differs.
        what: &'static str,
        /// What it was.
        was: String,
        /// What it is now.
        now: String,
    },

    /// As many examples as the run in the folder had, with other contents.
    #[error(
        "the examples are not those of the run to resume: there are {count} of them as before, but their texts or labels \
         differ. Give the files that it began with, or start another run"
    )]
    OtherExamples {
        /// How many there are.
        count: usize,
    },

    /// A teacher that does not have what a student is to learn of it.
    #[error("this teacher cannot be used: {reason}")]
    Teacher {
        /// What is missing, or what differs.
        reason: String,
    },

    /// A saved state that cannot be used.
    #[error("{} is damaged: {reason}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
