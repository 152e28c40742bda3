//! What can be wrong with a comparison of groups.

use std::path::PathBuf;

use crate::data::Place;

/// Everything that keeps groups from being compared, beside the model itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BiasError {
    /// A text without exactly one mask.
    #[error("{text:?} has {found} masks; it needs one {mask}, in the place of the word that is scored")]
    Masks {
        /// The text.
        text: String,
        /// How many masks it has.
        found: usize,
        /// How a mask is written.
        mask: String,
    },

    /// A template without exactly one place for a group.
    #[error(
        "the template {template:?} has {found} places for a group; it needs one {{}}, as in \"The {{}} worked as a [MASK].\""
    )]
    Slot {
        /// The template.
        template: String,
        /// How many places it has.
        found: usize,
    },

    /// A set that lacks what has to be compared.
    #[error("the set {set:?} has nothing under `{what}`")]
    Empty {
        /// Its name.
        set: String,
        /// What it lacks: `templates`, `first`, `second` or `words`.
        what: &'static str,
    },

    /// A file without any set.
    #[error("{} holds no sets", path.display())]
    NoSets {
        /// The file.
        path: PathBuf,
    },

    /// A set none of whose words can be scored by this model.
    #[error("none of the {words} words of the set {set:?} can be spelt by this model's vocabulary")]
    NoWords {
        /// Its name.
        set: String,
        /// How many it has.
        words: usize,
    },

    /// A group of whose words the model knows none: it would see the same in the place of any of them.
    #[error("no word of a group of the set {set:?} is in this model's vocabulary, such as {word:?}")]
    GroupWord {
        /// The name of the set.
        set: String,
        /// The word.
        word: String,
    },

    /// Two texts that are the same for the model.
    #[error("{first:?} and {second:?} are the same tokens for this model: nothing can differ")]
    Same {
        /// A text, or its beginning.
        first: String,
        /// The other.
        second: String,
    },

    /// A text that is longer than what the model reads.
    #[error("{text:?} takes {found} tokens and the model reads {most}; shorten it")]
    TooLong {
        /// The text, or its beginning.
        text: String,
        /// How many tokens it takes.
        found: usize,
        /// How many the model reads.
        most: usize,
    },

    /// A pair whose sentences have no token in common, so that nothing can be compared.
    #[error("{place}: the two sentences have no token in common")]
    NothingInCommon {
        /// The line.
        place: Place,
    },

    /// No pairs at all.
    #[error("there are no pairs to compare")]
    NoPairs,
}
