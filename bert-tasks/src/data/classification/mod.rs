//! Texts, or pairs of texts, with labels: sentiment, topics, entailment, similarity.
//!
//! ```
//! use bert_tasks::data::classification::{self, Label, Options};
//! use bert_tasks::data::LabelSet;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("train.tsv");
//! std::fs::write(&path, "sentence\tlabel\na fine film\t1\ndull\t0\n")?;
//!
//! let examples = classification::read(&path, &Options::default())?.collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(examples[0].text, "a fine film");
//! assert_eq!(examples[0].label, Label::One("1".into()));
//! let labels = LabelSet::collect(examples.iter().flat_map(|example| example.label.names()))?;
//! assert_eq!(examples[1].targets(&labels)?, [0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Columns are found by the names that they have in GLUE, SNLI and the data sets of the Hugging Face hub, or
//! are given in [`Options`]. A table without a header needs their numbers.

use std::path::Path;

use serde_json::Value;

use super::error::{DataError, Result};
use super::rows::{Reading, Row, Rows, Wanted};
use super::{Format, LabelSet, Place};
use crate::ProblemType;

/// How the table is read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// In place of what the name of the file tells.
    pub format: Option<Format>,
    /// Whether the first row is a header, in place of what it looks like: it is one if it names a column that
    /// is looked for.
    pub header: Option<bool>,
    /// The column of the text: its name, or its number counted from 1.
    pub text: Option<String>,
    /// The column of the second text. If only [`text`](Self::text) is given, there is none.
    pub second: Option<String>,
    /// The column of the label, the labels or the score.
    pub label: Option<String>,
    /// What the labels are. One label, unless something else is said.
    pub problem: Option<ProblemType>,
}

/// A text, or two, and what was said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The text; the first of two.
    pub text: String,
    /// The second text.
    pub second: Option<String>,
    /// What was said about it.
    pub label: Label,
    /// Where it stands.
    pub place: Place,
}

/// What was said about a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// One of several labels.
    One(String),
    /// Any number of labels: a JSON list, or names with `|` between them.
    Many(Vec<String>),
    /// A number.
    Score(f64),
}

impl Label {
    /// The names of the labels; none of a score.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
            Self::Score(_) => &[],
        }
    }
}

impl Example {
    /// The numbers of the labels; none of a score.
    ///
    /// # Errors
    /// [`DataError::UnknownLabel`], which names the line.
    pub fn targets(&self, labels: &LabelSet) -> Result<Vec<usize>> {
        self.label.names().iter().map(|name| labels.index_at(name, &self.place)).collect()
    }
}

const TEXT: &[&str] = &[
    "sentence1",
    "premise",
    "question1",
    "text_a",
    "#1 String",
    "question",
    "text",
    "sentence",
    "review",
    "content",
];
const SECOND: &[&str] =
    &["sentence2", "hypothesis", "question2", "text_b", "#2 String", "text2", "second", "sentence"];
const LABEL: &[&str] =
    &["label", "labels", "gold_label", "is_duplicate", "Quality", "class", "sentiment", "target", "score"];
const SCORE: &[&str] = &["score", "similarity", "label", "target"];

/// Reads a file.
///
/// # Errors
/// A file that cannot be opened, or whose format is not known; one column for the text and the label. What is wrong
/// inside comes out as an item.
pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<Examples> {
    if let (Some(text), Some(label)) = (&options.text, &options.label)
        && text == label
    {
        let expected = "another column than that of the text";
        return Err(DataError::Setting {
            setting: "the column of the label",
            found: label.clone(),
            expected,
        });
    }
    let problem = options.problem.unwrap_or(ProblemType::SingleLabelClassification);
    let labels = if problem == ProblemType::Regression { SCORE } else { LABEL };
    let second = if options.text.is_some() { &[] } else { SECOND };
    let wanted = vec![
        Wanted::required("text", TEXT, &options.text),
        Wanted::optional("second text", second, &options.second),
        Wanted::required("label", labels, &options.label),
    ];
    let reading = Reading { format: options.format, header: options.header };
    Ok(Examples { rows: Rows::open(path.as_ref(), &reading, wanted)?, problem })
}

/// The examples of a file, one at a time; made by [`read`].
pub struct Examples {
    rows: Rows,
    problem: ProblemType,
}

impl Examples {
    fn example(&self, mut row: Row) -> Result<Example> {
        let label = match self.problem {
            ProblemType::Regression => Label::Score(row.number(2, "score")?),
            ProblemType::MultiLabelClassification => Label::Many(many(&row)?),
            _ => Label::One(one(&mut row)?),
        };
        let text = row.text(0, "text")?;
        Ok(Example { text, second: row.optional_text(1, "second text")?, label, place: row.place })
    }
}

impl Iterator for Examples {
    type Item = Result<Example>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(row.and_then(|row| self.example(row)))
    }
}

fn one(row: &mut Row) -> Result<String> {
    let label = row.text(2, "label")?;
    match label.trim() {
        "" => Err(row.wrong("label", &Value::String(label), "a name")),
        label => Ok(label.to_owned()),
    }
}

fn many(row: &Row) -> Result<Vec<String>> {
    let field = row.value(2).unwrap_or(&Value::Null);
    let wrong = || row.wrong("label", field, "a JSON list of labels, or labels with | between them");
    // A list may also stand in a field of a table, as JSON.
    let written = field.as_str().map(str::trim).filter(|text| text.starts_with('['));
    let list =
        written.map(|text| serde_json::from_str::<Vec<Value>>(text).map_err(|_| wrong())).transpose()?;
    let mut names: Vec<String> = match (list.as_deref().or(field.as_array().map(Vec::as_slice)), field) {
        (Some(list), _) => list
            .iter()
            .map(|label| match label {
                Value::String(name) => Ok(name.trim().to_owned()),
                Value::Number(number) => Ok(number.to_string()),
                _ => Err(wrong()),
            })
            .collect::<Result<_>>()?,
        (None, Value::String(names)) => {
            names.split('|').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        }
        (None, Value::Number(number)) => vec![number.to_string()],
        _ => return Err(wrong()),
    };
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    match names.iter().any(String::is_empty) {
        true => Err(wrong()),
        false => Ok(names),
    }
}

#[cfg(test)]
mod tests;
