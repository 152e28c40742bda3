//! How the texts of one input are laid out in a line, a JSON value, or a row of a table.

use serde_json::Value;

use super::json::Json;
use crate::error::{Error, RecordError, Result};

/// What finds the texts of an input.
pub trait Layout {
    /// The texts of a line.
    ///
    /// # Errors
    /// Too many or too few of them.
    fn parse_line(&self, line: String) -> Result<Vec<String>, RecordError>;

    /// The texts of a JSON value.
    ///
    /// # Errors
    /// Another kind of value, or one without the fields.
    fn parse_json(&self, value: &Json) -> Result<Vec<String>, RecordError>;

    /// Whether a field of a JSON object holds texts.
    fn reads(&self, field: &str) -> bool;

    /// The columns of a table that are read, by its header.
    ///
    /// # Errors
    /// A table without them; `name` is that of its file.
    fn columns(&mut self, name: &str, header: &[String]) -> Result<Vec<usize>>;

    /// The texts of a row, from the fields in those columns.
    ///
    /// # Errors
    /// Too few of them.
    fn row(&self, fields: Vec<String>) -> Result<Vec<String>, RecordError>;
}

/// The one column of a name: of this very name, or else of the same in another case.
///
/// # Errors
/// None of that name, or two.
pub fn column(name: &str, header: &[String], column: &str) -> Result<usize> {
    let find = |is: &dyn Fn(&str) -> bool| {
        let mut places = header.iter().enumerate().filter(|(_, name)| is(name)).map(|(index, _)| index);
        (places.next(), places.next())
    };
    let exact = find(&|name| name == column);
    let found = if exact.0.is_some() { exact } else { find(&|name| name.eq_ignore_ascii_case(column)) };
    match found {
        (Some(index), None) => Ok(index),
        (first, _) => Err(Error::Column {
            name: name.to_owned(),
            column: column.to_owned(),
            twice: first.is_some(),
            found: header.to_vec(),
        }),
    }
}

/// The text of a JSON string.
///
/// # Errors
/// Another kind of value; `expected` says what would have been right.
pub fn string(value: Value, expected: impl Fn() -> String) -> Result<String, RecordError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(RecordError::JsonKind { expected: expected(), found: kind(&other) }),
    }
}

/// The kind of a JSON value.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
