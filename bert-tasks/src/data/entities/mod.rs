//! Texts with marked entities, from CoNLL columns or JSON lines, and the labels of tokens that say the same.
//!
//! ```
//! use bert_tasks::data::entities::{self, Options, TagSet};
//! use bert_tasks::token_classification::Scheme;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("train.jsonl");
//! std::fs::write(&path, r#"{"text": "Zoë in Ulm", "entities": [{"start": 7, "end": 10, "label": "LOC"}]}"#)?;
//!
//! let example = entities::read(&path, &Options::default())?.next().unwrap()?;
//! assert_eq!(&example.text[example.entities[0].range.clone()], "Ulm"); // bytes now
//!
//! let tags = TagSet::new(["LOC"], Scheme::Iob)?;
//! let words = [0..4, 5..7, 8..11];
//! assert_eq!(tags.encode(&words, &example.spans())?.labels, [0, 0, 1]); // O, O, B-LOC
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod conll;
mod json;
mod tags;

use std::ops::Range;
use std::path::Path;

use super::error::{DataError, Result};
use super::fuse::next_until_error;
use super::open::format_extension;
use super::{Lines, Place};
use crate::token_classification::{Scheme, Span};
pub use tags::{Encoded, TagSet};

/// What a file of entities is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A word and its label a line; see [`conll`].
    Conll,
    /// A JSON object a line: `{"text", "entities": [{"start", "end", "label"}]}` or `{"tokens", "tags"}`.
    Jsonl,
}

/// What the places of entities in JSON are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offsets {
    /// Chars (code points), as Python counts.
    #[default]
    Chars,
    /// Bytes of UTF-8.
    Bytes,
}

/// How a file is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// In place of what the name of the file tells: `.jsonl` is JSON, and `.conll`, `.iob`, `.bio`, `.tsv` and
    /// `.txt` are columns.
    pub format: Option<Format>,
    /// What places in JSON are counted in.
    pub offsets: Offsets,
    /// How labels of words mark entities. The default, [`Scheme::Bioes`], reads IOB1, IOB2 and labels without
    /// prefixes as well, but takes a type such as `E-MAIL` for the end of an entity `MAIL`.
    pub scheme: Scheme,
    /// Whether lines of columns that begin with `#` are comments.
    pub comments: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { format: None, offsets: Offsets::Chars, scheme: Scheme::Bioes, comments: false }
    }
}

/// A text and the entities in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text. Words of a file without texts are joined by single blanks.
    pub text: String,
    /// Where each word stands in the text, in bytes; `None` where the file does not say.
    pub words: Option<Vec<Range<usize>>>,
    /// The entities, in the order of the file.
    pub entities: Vec<Marked>,
    /// Where it stands. For columns this is the file alone.
    pub place: Place,
}

/// An entity in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// Its type, such as `PER`.
    pub label: String,
    /// Its bytes in the text, on char boundaries, not empty.
    pub range: Range<usize>,
}

impl Example {
    /// The entities, in the form that labels and evaluations work with.
    pub fn spans(&self) -> Vec<Span<'_>> {
        self.entities
            .iter()
            .map(|marked| Span { label: &marked.label, range: marked.range.clone() })
            .collect()
    }

    fn of_words(sentence: &conll::Sentence, scheme: Scheme, place: Place) -> Self {
        let text = sentence.text();
        // A word without any char can be in an entity, but not be one.
        let spans = sentence.entities(scheme).into_iter().filter(|span| !span.range.is_empty());
        let entities = spans.map(|span| Marked { label: span.label.to_owned(), range: span.range }).collect();
        Self { text, words: Some(sentence.ranges()), entities, place }
    }
}

/// Reads a file.
///
/// # Errors
/// A file that cannot be opened, or whose format is not known. What is wrong inside comes out as an item.
pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<Examples> {
    let path = path.as_ref();
    let format = options.format.or(match format_extension(path).as_deref() {
        Some("jsonl" | "ndjson") => Some(Format::Jsonl),
        Some("conll" | "iob" | "iob2" | "bio" | "bioes" | "tsv" | "txt") => Some(Format::Conll),
        _ => None,
    });
    let kind = match format {
        Some(Format::Jsonl) => Kind::Json(Lines::open(path)?),
        Some(Format::Conll) => {
            let sentences = conll::open(path, conll::Options { comments: options.comments })?;
            Kind::Columns(sentences, Place::of(path))
        }
        None => {
            crate::data::open(path)?; // a folder, or nothing at all, is told as such
            return Err(DataError::UnknownFormat { path: path.to_owned(), expected: "conll or jsonl" });
        }
    };
    Ok(Examples { kind: Some(kind), options: options.clone() })
}

/// The examples of a file, one at a time; made by [`read`].
pub struct Examples {
    /// Until the end.
    kind: Option<Kind>,
    options: Options,
}

enum Kind {
    Columns(conll::Sentences, Place),
    Json(Lines),
}

impl Iterator for Examples {
    type Item = Result<Example>;

    fn next(&mut self) -> Option<Self::Item> {
        next_until_error(&mut self.kind, |kind| match kind {
            Kind::Columns(sentences, place) => {
                let example = |sentence| Example::of_words(&sentence, self.options.scheme, place.clone());
                Ok(sentences.next().transpose()?.map(example))
            }
            Kind::Json(lines) => json::next(lines, &self.options),
        })
    }
}
