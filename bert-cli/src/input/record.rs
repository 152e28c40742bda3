//! What is in a line: the texts of one input.

use serde_json::Value;

use super::layout::{Layout, column, kind, string};
use crate::error::{Error, RecordError, Result, list};

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

/// The names of the texts that make one input.
pub struct Fields {
    names: Vec<String>,
    /// Whether the user chose them.
    chosen: bool,
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

    fn json_form(&self) -> String {
        match self.names.len() {
            1 => format!("a string, or an object with field {}", list(&self.names)),
            count => format!("an array of {count} strings, or an object with fields {}", list(&self.names)),
        }
    }
}

impl Layout for Fields {
    fn parse_line(&self, line: String) -> Result<Vec<String>, RecordError> {
        if self.names.len() == 1 {
            return Ok(vec![line]);
        }
        let texts: Vec<String> = line.split('\t').map(str::to_owned).collect();
        match texts.len() {
            count if count == self.names.len() => Ok(texts),
            found => Err(RecordError::Tabs { expected: self.names.clone(), found }),
        }
    }

    fn parse_json(&self, value: Value) -> Result<Vec<String>, RecordError> {
        match value {
            Value::String(text) if self.names.len() == 1 => Ok(vec![text]),
            Value::Array(texts) if self.names.len() > 1 && texts.len() == self.names.len() => {
                texts.into_iter().map(|text| string(text, || "strings".to_owned())).collect()
            }
            Value::Object(mut object) => {
                let mut texts = vec![];
                for name in &self.names {
                    let Some(text) = object.remove(name) else {
                        let found = object.into_iter().map(|(key, _)| key).collect();
                        return Err(RecordError::NoField { name: name.clone(), found });
                    };
                    texts.push(string(text, || format!("a string in field {name:?}"))?);
                }
                Ok(texts)
            }
            other => Err(RecordError::JsonKind { expected: self.json_form(), found: kind(&other) }),
        }
    }

    fn columns(&mut self, name: &str, header: &[String]) -> Result<Vec<usize>> {
        // A file with a single column leaves no choice.
        if !self.chosen && self.names.len() == 1 && header.len() == 1 {
            return Ok(vec![0]);
        }
        self.names.iter().map(|wanted| column(name, header, wanted)).collect()
    }
}
