//! Rows of a table, whatever it is written in: CSV, TSV, JSON lines.
//!
//! A reader says which fields it wants, by the names that they usually have; a row then holds those fields
//! alone, in that order.

mod columns;
mod records;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::error::{DataError, Result, beginning};
use super::fuse::next_until_error;
use super::json::read_json;
use super::lines::Lines;
use super::open::format_extension;
use super::{Place, open};
use columns::Columns;
pub(super) use columns::Wanted;
use records::Records;

/// What a table is written in. The reader of a file tells it from the name, such as `train.tsv.gz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Fields with a separator between them, in quotes where they hold one, a quote or a line end.
    Csv {
        /// A comma, unless it is another one.
        separator: u8,
    },
    /// Fields with tabs between them and no quoting, as in the files of GLUE.
    Tsv,
    /// A JSON object a line.
    Jsonl,
    /// A label, a blank and a text a line, as in some files of SST.
    LabelFirst,
}

impl Format {
    const NAMES: &'static str = "csv, tsv, jsonl or label-first";

    /// The format that the name of a file tells, if it does.
    pub fn of(path: impl AsRef<Path>) -> Option<Self> {
        format_extension(path.as_ref())?.parse().ok()
    }
}

impl FromStr for Format {
    type Err = DataError;

    fn from_str(word: &str) -> Result<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "csv" => Ok(Self::Csv { separator: b',' }),
            "tsv" => Ok(Self::Tsv),
            "jsonl" | "ndjson" => Ok(Self::Jsonl),
            "label-first" => Ok(Self::LabelFirst),
            _ => Err(DataError::Setting {
                setting: "format",
                found: format!("{word:?}"),
                expected: Self::NAMES,
            }),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv { .. } => "csv",
            Self::Tsv => "tsv",
            Self::Jsonl => "jsonl",
            Self::LabelFirst => "label-first",
        })
    }
}

/// How the table is to be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// In place of what the name of the file tells.
    pub format: Option<Format>,
    /// Whether the first row is a header, in place of what it looks like.
    pub header: Option<bool>,
}

/// Rows of a file, one at a time.
pub(super) struct Rows {
    /// Until the end.
    kind: Option<Kind>,
    wanted: Vec<Wanted>,
}

enum Kind {
    Json(Lines),
    Table {
        records: Records,
        header: Option<bool>,
        /// Found out with the first row.
        columns: Option<Columns>,
        /// A first row that is no header.
        first: Option<(Place, Vec<String>)>,
    },
}

impl Rows {
    pub fn open(path: &Path, reading: &Reading, wanted: Vec<Wanted>) -> Result<Self> {
        let source = open(path)?;
        let format = reading.format.or_else(|| Format::of(path));
        let format = format
            .ok_or_else(|| DataError::UnknownFormat { path: path.to_owned(), expected: Format::NAMES })?;
        let kind = match format {
            Format::Jsonl => Kind::Json(Lines::new(path, source)),
            _ => Kind::Table {
                records: Records::new(path, source, format),
                header: reading.header,
                columns: None,
                first: None,
            },
        };
        Ok(Self { kind: Some(kind), wanted })
    }
}

impl Kind {
    fn row(&mut self, wanted: &[Wanted]) -> Result<Option<Row>> {
        match self {
            Self::Json(lines) => json_row(lines, wanted),
            Self::Table { records, header, columns, first } => {
                if columns.is_none() {
                    let Some((place, fields)) = records.next()? else { return Ok(None) };
                    let found = Columns::find(&place, &fields, wanted, records.names(), *header)?;
                    if !found.header {
                        *first = Some((place, fields));
                    }
                    *columns = Some(found);
                }
                let columns = columns.as_ref().expect("they were just found");
                let record = match first.take() {
                    Some(record) => Some(record),
                    None => records.next()?,
                };
                record.map(|(place, fields)| columns.pick(place, fields)).transpose()
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        next_until_error(&mut self.kind, |kind| kind.row(&self.wanted))
    }
}

fn json_row(lines: &mut Lines, wanted: &[Wanted]) -> Result<Option<Row>> {
    loop {
        let Some(line) = lines.next_line()? else { return Ok(None) };
        if line.trim().is_empty() {
            continue;
        }
        let object = read_json::<Map<String, Value>>(line);
        let place = lines.place().clone();
        let mut object = object.map_err(|source| DataError::Json { place: place.clone(), source })?;
        let names: Vec<String> = object.keys().cloned().collect();
        let columns = Columns::named(&place, &names, wanted)?;
        let fields = columns.iter().map(|column| column.and_then(|at| object.remove(&names[at])));
        return Ok(Some(Row { place, fields: fields.collect() }));
    }
}

/// The wanted fields of a row.
pub(super) struct Row {
    pub place: Place,
    /// `None` where the table has no such column.
    fields: Vec<Option<Value>>,
}

impl Row {
    /// A field, if the row has it and it is not null.
    pub fn value(&self, field: usize) -> Option<&Value> {
        self.fields[field].as_ref().filter(|value| !value.is_null())
    }

    /// A text, if the row has it. Numbers and truth values are written out.
    pub fn optional_text(&mut self, field: usize, name: &'static str) -> Result<Option<String>> {
        match self.fields[field].take() {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(value) => Err(self.wrong(name, &value, "a text")),
        }
    }

    /// A text that the row has to have.
    pub fn text(&mut self, field: usize, name: &'static str) -> Result<String> {
        self.optional_text(field, name)?.ok_or_else(|| self.wrong(name, &Value::Null, "a text"))
    }

    /// A finite number that the row has to have, as such or written in a text.
    pub fn number(&self, field: usize, name: &'static str) -> Result<f64> {
        let value = self.value(field).unwrap_or(&Value::Null);
        let number = match value {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_f64(),
        };
        number.filter(|number: &f64| number.is_finite()).ok_or_else(|| self.wrong(name, value, "a number"))
    }

    /// The error of a field that has the wrong kind of value.
    pub fn wrong(&self, field: &'static str, value: &Value, expected: impl Into<String>) -> DataError {
        let found = match value {
            Value::Null => "missing".to_owned(),
            value => beginning(&value.to_string()),
        };
        DataError::Field { place: self.place.clone(), field, found, expected: expected.into() }
    }
}

#[cfg(test)]
mod tests;
