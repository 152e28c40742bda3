//! What is in a line: the texts of one input.

use serde_json::Value;

use crate::error::{Error, Result};

/// What can be wrong with one input, while the others are fine.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Bytes that are no text.
    #[error("not valid UTF-8 (byte {position} of the text); save it as UTF-8, or use --lossy")]
    NotUtf8 {
        /// The first bad byte, counted from 1.
        position: usize,
    },
    /// More than is read at once.
    #[error("longer than {} MiB; break it into several texts", limit >> 20)]
    TooLong {
        /// The most bytes that are read.
        limit: usize,
    },
    /// A line of a JSONL file that is no JSON.
    #[error("not valid JSON ({0}); JSONL holds one whole value a line")]
    Json(serde_json::Error),
    /// A line of a JSONL file that is another kind of value.
    #[error("expected {expected}, found {found}")]
    JsonKind {
        /// What would have been right.
        expected: String,
        /// What is there.
        found: &'static str,
    },
    /// An object without the field.
    #[error("no field {name:?}; there are {}; choose one with --column", list(found))]
    NoField {
        /// The field that was looked for.
        name: String,
        /// The fields that are there.
        found: Vec<String>,
    },
    /// A line with too many or too few texts.
    #[error("expected {} parted by tabs, found {found}", list(expected))]
    Tabs {
        /// The texts that belong together.
        expected: Vec<String>,
        /// How many there are.
        found: usize,
    },
    /// A row that breaks the rules of CSV.
    #[error("expected {expected} columns as in the header, found {found}; texts with a comma need quotes")]
    Columns {
        /// How many the header has.
        expected: u64,
        /// How many the row has.
        found: u64,
    },
}

/// Bytes as text.
///
/// # Errors
/// Bytes that are not UTF-8, unless `lossy`.
pub fn decode(bytes: Vec<u8>, lossy: bool) -> Result<String, RecordError> {
    String::from_utf8(bytes).or_else(|error| match lossy {
        true => Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        false => Err(RecordError::NotUtf8 { position: error.utf8_error().valid_up_to() + 1 }),
    })
}

/// Names in quotes, for a message.
pub fn list(names: &[String]) -> String {
    /// A file with a thousand columns needs no message of a thousand names.
    const MOST: usize = 12;
    let mut shown: Vec<String> = names.iter().take(MOST).map(|name| format!("{name:?}")).collect();
    if names.len() > MOST {
        shown.push(format!("{} more", names.len() - MOST));
    }
    match shown.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// The names of the texts that make one input.
pub struct Fields {
    pub(super) names: Vec<String>,
    /// Whether the user chose them.
    pub(super) chosen: bool,
}

impl Fields {
    /// The columns that the user chose, or the ones that the command looks for.
    ///
    /// # Errors
    /// More or fewer columns than the command takes texts.
    pub fn new(defaults: &[&'static str], columns: &[String]) -> Result<Self> {
        match columns.len() {
            0 => Ok(Self { names: defaults.iter().map(ToString::to_string).collect(), chosen: false }),
            count if count == defaults.len() => Ok(Self { names: columns.to_vec(), chosen: true }),
            found => Err(Error::ColumnCount { expected: defaults.len(), found }),
        }
    }

    /// A line of text.
    pub fn parse_line(&self, line: String) -> Result<Vec<String>, RecordError> {
        if self.names.len() == 1 {
            return Ok(vec![line]);
        }
        let texts: Vec<String> = line.split('\t').map(str::to_owned).collect();
        match texts.len() {
            count if count == self.names.len() => Ok(texts),
            found => Err(RecordError::Tabs { expected: self.names.clone(), found }),
        }
    }

    /// A line of a JSONL file; `None` for a blank one.
    pub fn parse_json(&self, line: &str) -> Result<Option<Vec<String>>, RecordError> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let texts = match serde_json::from_str(line).map_err(RecordError::Json)? {
            Value::String(text) if self.names.len() == 1 => vec![text],
            Value::Array(texts) if self.names.len() > 1 && texts.len() == self.names.len() => texts
                .into_iter()
                .map(|text| string(text, || "strings".to_owned()))
                .collect::<Result<_, _>>()?,
            Value::Object(mut object) => {
                let mut texts = vec![];
                for name in &self.names {
                    let Some(text) = object.remove(name) else {
                        let found = object.into_iter().map(|(key, _)| key).collect();
                        return Err(RecordError::NoField { name: name.clone(), found });
                    };
                    texts.push(string(text, || format!("a string in field {name:?}"))?);
                }
                texts
            }
            other => return Err(RecordError::JsonKind { expected: self.json_form(), found: kind(&other) }),
        };
        Ok(Some(texts))
    }

    fn json_form(&self) -> String {
        match self.names.len() {
            1 => format!("a string, or an object with field {}", list(&self.names)),
            count => format!("an array of {count} strings, or an object with fields {}", list(&self.names)),
        }
    }
}

fn string(value: Value, expected: impl Fn() -> String) -> Result<String, RecordError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(RecordError::JsonKind { expected: expected(), found: kind(&other) }),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
