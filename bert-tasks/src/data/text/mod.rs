//! Raw text for pre-training: paragraphs of documents, out of any number of files of any size.
//!
//! ```
//! use bert_tasks::data::text::{Options, paragraphs};
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("text.txt");
//! std::fs::write(&path, "One.\nTwo.\n\nAnother document.\n")?;
//! for paragraph in paragraphs([&path], &Options::default()) {
//!     let paragraph = paragraph?;
//!     println!("{} {}", paragraph.document, paragraph.text); // 0 One. / 0 Two. / 1 Another document.
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A `.jsonl` file holds one document a line, in the field [`field`](Options::field) of an object. Every other
//! file is plain text: a sentence or a paragraph a line, a blank line between documents. Both may be compressed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::{DataError, Result, beginning};
use super::fuse::next_until_error;
use super::json::read_json;
use super::open::format_extension;
use super::{Damaged, Lines, MAX_RECORD, Place};

/// How files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The field of JSON objects that holds the text.
    pub field: String,
    /// Whether every line of plain text is a document of its own.
    pub document_per_line: bool,
    /// What to do with invalid UTF-8 and NUL bytes.
    pub damaged: Damaged,
    /// The longest line, in bytes.
    pub max_line: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            field: "text".to_owned(),
            document_per_line: false,
            damaged: Damaged::Refuse,
            max_line: MAX_RECORD,
        }
    }
}

/// A paragraph that is not blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paragraph {
    /// The text, without blanks around it and line ends in it.
    pub text: String,
    /// The number of its document, counted from 0 over all files. No document goes beyond a file.
    pub document: u64,
    /// Where it stands.
    pub place: Place,
}

/// Paragraphs of files, one after another; see the [module](self).
///
/// An item is an error if a file cannot be opened or read, or holds a line that is no text or no JSON object
/// with the field. Nothing follows an error.
pub fn paragraphs<P: AsRef<Path>>(files: impl IntoIterator<Item = P>, options: &Options) -> Paragraphs {
    Paragraphs(Some(Reader {
        files: files.into_iter().map(|file| file.as_ref().to_owned()).collect(),
        options: options.clone(),
        open: None,
        document: 0,
        begun: false,
        ready: VecDeque::new(),
    }))
}

/// Paragraphs, one at a time; made by [`paragraphs`].
pub struct Paragraphs(Option<Reader>);

/// Files, until the last one ends.
struct Reader {
    /// Those that are still to be opened.
    files: VecDeque<PathBuf>,
    options: Options,
    open: Option<Open>,
    /// The number of the document that is read.
    document: u64,
    /// Whether it has a paragraph yet.
    begun: bool,
    /// What was read of it and not yet given out.
    ready: VecDeque<Paragraph>,
}

struct Open {
    lines: Lines,
    json: bool,
}

impl Reader {
    fn paragraph(&mut self) -> Result<Option<Paragraph>> {
        loop {
            if let Some(paragraph) = self.ready.pop_front() {
                return Ok(Some(paragraph));
            }
            match &mut self.open {
                None => {
                    let Some(path) = self.files.pop_front() else { return Ok(None) };
                    let lines = Lines::open(&path)?.with(self.options.max_line, self.options.damaged);
                    let json = matches!(format_extension(&path).as_deref(), Some("jsonl" | "ndjson"));
                    self.open = Some(Open { lines, json });
                }
                Some(open) => {
                    let Some(line) = open.lines.next_line()? else {
                        self.open = None;
                        self.end_document();
                        continue;
                    };
                    let line = line.trim();
                    let (text, ends) = match open.json {
                        true if line.is_empty() => continue,
                        true => {
                            let text = text_of(line, &self.options.field);
                            (text.map_err(|error| error.at(open.lines.place()))?, true)
                        }
                        false => (line.to_owned(), line.is_empty() || self.options.document_per_line),
                    };
                    let place = open.lines.place().clone();
                    self.add(&text, &place);
                    if ends {
                        self.end_document();
                    }
                }
            }
        }
    }

    fn add(&mut self, text: &str, place: &Place) {
        // BERT's tokenizer takes these for blanks; here they end paragraphs.
        for part in text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
            let part = part.trim();
            if !part.is_empty() {
                let (text, document, place) = (part.to_owned(), self.document, place.clone());
                self.ready.push_back(Paragraph { text, document, place });
                self.begun = true;
            }
        }
    }

    fn end_document(&mut self) {
        self.document += u64::from(self.begun);
        self.begun = false;
    }
}

impl Iterator for Paragraphs {
    type Item = Result<Paragraph>;

    fn next(&mut self) -> Option<Self::Item> {
        next_until_error(&mut self.0, Reader::paragraph)
    }
}

/// What is wrong with an object.
enum Wrong {
    Json(serde_json::Error),
    NoField { field: String, found: String },
}

impl Wrong {
    fn at(self, place: &Place) -> DataError {
        let place = place.clone();
        match self {
            Self::Json(source) => DataError::Json { place, source },
            Self::NoField { field, found } => DataError::Field {
                place,
                field: "object",
                found,
                expected: format!("one with a text {field:?}"),
            },
        }
    }
}

/// The text in a field of an object.
fn text_of(line: &str, field: &str) -> Result<String, Wrong> {
    let mut object: Map<String, Value> = read_json(line).map_err(Wrong::Json)?;
    match object.remove(field) {
        Some(Value::String(text)) => Ok(text.replace('\0', "\u{fffd}")),
        _ => Err(Wrong::NoField { field: field.to_owned(), found: beginning(line) }),
    }
}

#[cfg(test)]
mod tests;
