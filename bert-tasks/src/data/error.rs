//! What can be wrong with a file of data: where it is, what was found, what to do.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::Place;

/// Shorthand for a result with [`DataError`].
pub type Result<T, E = DataError> = std::result::Result<T, E>;

/// Everything that can be wrong with a file of labelled or raw text.
///
/// A message begins with the file and the line. It does not repeat its cause; print the chain of
/// [`source`](std::error::Error::source)s.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file that cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file that cannot be read to its end, or is damaged in its compressed form.
    #[error("{place}: cannot read further")]
    Read {
        /// The line that was to be read.
        place: Place,
        /// What the system or the decompressor said.
        source: io::Error,
    },

    /// A compression that this crate does not read.
    #[error("{}: .{found} files are not supported; compress it as .gz or .zst, or unpack it", path.display())]
    Compression {
        /// The file.
        path: PathBuf,
        /// Its extension.
        found: String,
    },

    /// A name that does not tell the format.
    #[error("{}: the file name does not tell the format; give one of {expected}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The formats that there are.
        expected: &'static str,
    },

    /// Bytes that are no text.
    #[error("{place}: {found}; convert the file to UTF-8")]
    NotText {
        /// The line.
        place: Place,
        /// What stands there, such as `a NUL byte`.
        found: &'static str,
    },

    /// A line or a record that is longer than the limit, often because a quote is never closed.
    #[error("{place}: more than {limit} bytes in one record; is a quote not closed?")]
    TooLong {
        /// The line that the record begins at.
        place: Place,
        /// The most that is read.
        limit: usize,
    },

    /// A quote of a table that is never closed.
    #[error("{place}: a quote is opened here and never closed")]
    OpenQuote {
        /// The line of the quote.
        place: Place,
    },

    /// JSON that does not hold what it should.
    #[error("{place}: not valid JSON of the expected form")]
    Json {
        /// The line, or the file as a whole.
        place: Place,
        /// Where in it and why.
        source: serde_json::Error,
    },

    /// A table without a column that is needed.
    #[error(
        "{place}: no column for the {role}: looked for {}, found {}{}",
        looked_for.join(", "),
        found.join(", "),
        if *header { "" } else { "; the table has no header: give the column by its number" }
    )]
    NoColumn {
        /// The line.
        place: Place,
        /// What the column is for, such as `label`.
        role: &'static str,
        /// The names or the number that would have been right.
        looked_for: Vec<String>,
        /// The columns that there are.
        found: Vec<String>,
        /// Whether the names come from a header; otherwise they are the first row.
        header: bool,
    },

    /// A row with more or fewer fields than the table has columns.
    #[error(
        "{place}: {found} fields where the table has {expected} columns; does a text contain a separator without quotes?"
    )]
    Fields {
        /// The line.
        place: Place,
        /// How many columns the table has.
        expected: usize,
        /// How many fields the row has.
        found: usize,
    },

    /// A field with a value that it cannot have.
    #[error("{place}: the {field} is {found}; it must be {expected}")]
    Field {
        /// The line.
        place: Place,
        /// What the field is for, such as `score`.
        field: &'static str,
        /// How its value begins.
        found: String,
        /// What would have been right.
        expected: String,
    },

    /// A setting of a reader with a value that makes no sense.
    #[error("{setting} is {found}; it must be {expected}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What would have been right.
        expected: &'static str,
    },

    /// A label that is not in the set of labels.
    #[error("{}unknown label {found:?}; the known ones are {}", place.as_ref().map_or(String::new(), |place| format!("{place}: ")), known.join(", "))]
    UnknownLabel {
        /// The line, where it is known.
        place: Option<Place>,
        /// The label.
        found: String,
        /// The labels that there are.
        known: Vec<String>,
    },

    /// A set of labels that cannot be one: it is empty, or has a label twice.
    #[error("not a set of labels: {found}")]
    LabelSet {
        /// Why.
        found: String,
    },

    /// A line of labelled words that holds no more than a word.
    #[error("{place}: a word without a label: {found:?}; a line needs two columns")]
    NoTag {
        /// The line.
        place: Place,
        /// How it begins.
        found: String,
    },

    /// A file without anything that a file of labelled words has.
    #[error(
        "{place}: not a file of labelled words: no blank line ends a sentence, and no label is O or begins as B-PER does"
    )]
    NotTagged {
        /// The last line.
        place: Place,
    },

    /// An entity that is not a part of its text, or overlaps another one.
    #[error("{}entity {label} at {}..{}: {reason}", place.as_ref().map_or(String::new(), |place| format!("{place}: ")), range.start, range.end)]
    Span {
        /// The line, where it is known.
        place: Option<Place>,
        /// The type of the entity.
        label: String,
        /// Its place in the text, as it was given.
        range: Range<usize>,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// An answer that the context does not say where it is said to.
    #[error(
        "{place}: question {id:?}: the answer {text:?} is not at character {start} of the context; found {found:?} there"
    )]
    Answer {
        /// The file or the line.
        place: Place,
        /// The question's id.
        id: String,
        /// The answer.
        text: String,
        /// Where it should begin, in chars.
        start: i64,
        /// What stands there.
        found: String,
    },

    /// A question that contradicts itself.
    #[error("{place}: question {id:?}: {reason}")]
    Question {
        /// The file or the line.
        place: Place,
        /// Its id.
        id: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// How a value that is shown in an error begins.
pub(crate) fn beginning(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
