//! Labelled and raw text: readers of the files that models are trained and evaluated on.
//!
//! | module | examples | formats |
//! | --- | --- | --- |
//! | [`classification`] | a text or two, with labels or a score | CSV, TSV, JSON lines |
//! | [`glue`] | the same, of the tasks of GLUE | TSV as published |
//! | [`entities`] | a text with marked entities, or words with tags | CoNLL columns, JSON lines |
//! | [`squad`] | a question about a text, with the places of its answers | SQuAD 1.1 and 2.0, MRQA |
//! | [`multiple_choice`] | a beginning, endings, and which is right | SWAG's CSV, JSON lines |
//! | [`pairs`] | texts that belong together, for embeddings | CSV, TSV, JSON lines |
//! | [`retrieval`] | queries, documents, and which are relevant | BEIR, pairs |
//! | [`stereotypes`] | two sentences, one of which says a stereotype | CrowS-Pairs, WinoBias |
//! | [`summaries`] | a text and its summary | CSV, TSV, JSON lines |
//! | [`text`] | paragraphs of documents, for pre-training | plain text, JSON lines |
//!
//! Nothing here needs a model or a device. What the readers have in common:
//!
//! * Any file may be compressed, as `.gz` or `.zst`; see [`open`].
//! * Examples come one at a time, in the order of the file, and memory stays flat however long it is (SQuAD is
//!   one JSON value a file and is read whole).
//! * A file is UTF-8, with or without a byte order mark, its lines end with `\n` or `\r\n`. NUL bytes, invalid
//!   UTF-8 and records above [`MAX_RECORD`] are errors, and so is a row that does not fit its table: nothing is
//!   skipped or repaired silently. An empty file, or one with nothing but a header, has no examples.
//! * An error names the file and the line, and ends the iteration.
//! * Places in texts are bytes, on char boundaries; readers convert from the chars that files count in.

pub mod classification;
mod delimited;
pub mod entities;
mod error;
mod fuse;
pub mod glue;
mod json;
mod labels;
mod lines;
pub mod multiple_choice;
mod open;
pub mod pairs;
mod place;
pub mod retrieval;
mod rows;
pub mod squad;
pub mod stereotypes;
pub mod summaries;
pub mod text;
mod zstd;

pub use delimited::{Broken, Delimited, Dialect, Record};
pub(crate) use error::beginning;
pub use error::{DataError, Result};
pub use json::read_json;
pub use labels::LabelSet;
pub use lines::{Damaged, Lines, MAX_RECORD};
pub use open::{Source, decompressed, format_extension, open};
pub use place::Place;
pub use rows::Format;
