//! Columns and fields that travel along with an input into its result.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

/// What a table or an object has in a field that travels along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A cell of a table.
    Text(String),
    /// A JSON value, in one line.
    Json(String),
    /// Nothing: the object lacks the field.
    Missing,
}

impl Cell {
    /// A JSON value.
    pub fn json(value: &RawValue) -> Self {
        let text = value.get();
        match text.contains(['\n', '\r']) {
            false => Self::Json(text.to_owned()),
            true => Self::Json(in_one_line(text)),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Owned(serde_json::Value::from(text.as_str()).to_string()),
            Self::Json(text) => Cow::Borrowed(text),
            Self::Missing => Cow::Borrowed("null"),
        }
    }

    /// As a cell of a table: a string by itself, null as nothing, other values as JSON.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Json(text) if text.starts_with('"') => {
                serde_json::from_str(text).map_or(Cow::Borrowed(text), Cow::Owned)
            }
            Self::Json(text) if text != "null" => Cow::Borrowed(text),
            Self::Json(_) | Self::Missing => Cow::Borrowed(""),
        }
    }
}

/// A JSON value without its line ends, which stand between its parts and in no string.
fn in_one_line(text: &str) -> String {
    let lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

/// The cells of one input that travel along, under the names that they have in all inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The names.
    pub names: Arc<[String]>,
    /// A cell for each.
    pub cells: Vec<Cell>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_in_json_and_in_tables() {
        let raw = |json: &str| Cell::json(&RawValue::from_string(json.to_owned()).unwrap());
        for (cell, json, text) in [
            (Cell::Text("a \"b\"\n".to_owned()), r#""a \"b\"\n""#, "a \"b\"\n"),
            (raw(r#""a \"b\"\n""#), r#""a \"b\"\n""#, "a \"b\"\n"),
            (raw("12345678901234567890.10"), "12345678901234567890.10", "12345678901234567890.10"),
            (raw("{\n  \"a\": [1,\r\n 2]\n}"), r#"{ "a": [1, 2] }"#, r#"{ "a": [1, 2] }"#),
            (raw("null"), "null", ""),
            (Cell::Missing, "null", ""),
        ] {
            assert_eq!((&*cell.to_json(), &*cell.to_text()), (json, text));
        }
    }
}
