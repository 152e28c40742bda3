//! What is in a line: the texts of one input.

use serde_json::Value;

use super::args::InputArgs;
use super::json::Json;
use super::layout::{Layout, column, kind, string};
use crate::error::{Error, RecordError, Result, list};

/// What joins the texts of several columns, if nothing else is asked for.
const JOIN: &str = " ";

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
    /// What joins them to one text, if they are.
    join: Option<String>,
}

impl Fields {
    /// The columns that the user chose, or the ones that the command looks for.
    ///
    /// # Errors
    /// More or fewer columns than the command takes texts.
    pub fn new(defaults: &[&'static str], args: &InputArgs) -> Result<Self> {
        let columns = &args.column;
        if args.join.is_some() && (defaults.len() > 1 || columns.len() < 2) {
            let reason = "it joins the texts of several columns to one, and --column names no several";
            return Err(Error::NoMeaning { option: "--join", reason });
        }
        match columns.len() {
            0 => {
                let names = defaults.iter().map(ToString::to_string).collect();
                Ok(Self { names, chosen: false, join: None })
            }
            count if count == defaults.len() => Ok(Self { names: columns.clone(), chosen: true, join: None }),
            _ if defaults.len() == 1 => {
                let join = Some(args.join.clone().unwrap_or_else(|| JOIN.to_owned()));
                Ok(Self { names: columns.clone(), chosen: true, join })
            }
            found => Err(Error::ColumnCount { expected: defaults.len(), found }),
        }
    }

    /// Whether an input is one text without a name.
    fn is_one(&self) -> bool {
        self.names.len() == 1
    }

    fn json_form(&self) -> String {
        match (self.names.len(), &self.join) {
            (1, _) => format!("a string, or an object with field {}", list(&self.names)),
            (_, Some(_)) => format!("an object with fields {}", list(&self.names)),
            (count, None) => {
                format!("an array of {count} strings, or an object with fields {}", list(&self.names))
            }
        }
    }

    /// One text, if they are to be joined; those that are empty leave no trace.
    fn joined(&self, texts: Vec<String>) -> Vec<String> {
        match &self.join {
            Some(join) => {
                let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
                vec![texts.join(join)]
            }
            None => texts,
        }
    }
}

impl Layout for Fields {
    fn parse_line(&self, line: String) -> Result<Vec<String>, RecordError> {
        if self.is_one() {
            return Ok(vec![line]);
        }
        let texts: Vec<String> = line.split('\t').map(str::to_owned).collect();
        match texts.len() {
            count if count == self.names.len() => Ok(texts),
            found => Err(RecordError::Tabs { expected: self.names.clone(), found }),
        }
    }

    fn parse_json(&self, value: &Json) -> Result<Vec<String>, RecordError> {
        match value {
            Json::Other(Value::String(text)) if self.is_one() => Ok(vec![text.clone()]),
            Json::Other(Value::Array(texts))
                if self.join.is_none() && !self.is_one() && texts.len() == self.names.len() =>
            {
                texts.iter().map(|text| string(text.clone(), || "strings".to_owned())).collect()
            }
            Json::Object(object) => {
                let text =
                    |name: &String| string(object.get(name)?, || format!("a string in field {name:?}"));
                Ok(self.joined(self.names.iter().map(text).collect::<Result<_, _>>()?))
            }
            Json::Other(other) => {
                Err(RecordError::JsonKind { expected: self.json_form(), found: kind(other) })
            }
        }
    }

    fn reads(&self, field: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(field))
    }

    fn columns(&mut self, name: &str, header: &[String]) -> Result<Vec<usize>> {
        // A file with a single column leaves no choice.
        if !self.chosen && self.is_one() && header.len() == 1 {
            return Ok(vec![0]);
        }
        self.names.iter().map(|wanted| column(name, header, wanted)).collect()
    }

    fn row(&self, fields: Vec<String>) -> Result<Vec<String>, RecordError> {
        Ok(self.joined(fields))
    }
}
