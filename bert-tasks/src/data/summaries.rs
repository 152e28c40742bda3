//! Texts with their summaries: what summarisers are measured with.
//!
//! ```
//! use bert_tasks::data::summaries;
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("news.jsonl");
//! std::fs::write(&path, "{\"text\": \"It rained. Then it stopped.\", \"summary\": \"It rained.\"}\n")?;
//! let example = summaries::read(&path)?.next().unwrap()?;
//! assert_eq!(example.summary, "It rained.");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A file is JSON lines or a table with a column `text` (or `document`, `article`) and one `summary` (or `highlights`,
//! `abstract`).

use std::path::Path;

use super::Place;
use super::error::Result;
use super::rows::{Reading, Rows, Wanted};

/// A text and its summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text.
    pub text: String,
    /// What a person made of it.
    pub summary: String,
    /// Where it stands.
    pub place: Place,
}

/// Reads a file whose format its name tells.
///
/// # Errors
/// A file that cannot be opened, or whose format is not known. What is wrong inside comes out as an item.
pub fn read(path: impl AsRef<Path>) -> Result<impl Iterator<Item = Result<Example>>> {
    let wanted = vec![
        Wanted::required("text", &["text", "document", "article"], &None),
        Wanted::required("summary", &["summary", "highlights", "abstract"], &None),
    ];
    let rows = Rows::open(path.as_ref(), &Reading { format: None, header: Some(true) }, wanted)?;
    Ok(rows.map(|row| {
        let mut row = row?;
        Ok(Example { text: row.text(0, "text")?, summary: row.text(1, "summary")?, place: row.place })
    }))
}
