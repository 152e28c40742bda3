//! Records of a table: lists of fields, each as a text.

use std::path::Path;

use super::super::Place;
use super::super::delimited::{Broken, Delimited, Dialect};
use super::super::error::{DataError, Result};
use super::super::lines::Lines;
use super::super::open::Source;
use super::Format;

/// Records of a file, one at a time. Empty lines are left out.
pub enum Records {
    Csv(Csv),
    /// Lines whose fields have tabs between them.
    Tsv(Lines),
    LabelFirst(Lines),
}

impl Records {
    pub fn new(path: &Path, source: Source, format: Format) -> Self {
        match format {
            Format::Csv { separator } => Self::Csv(Csv::new(path, source, separator)),
            Format::LabelFirst => Self::LabelFirst(Lines::new(path, source)),
            Format::Tsv | Format::Jsonl => Self::Tsv(Lines::new(path, source)),
        }
    }

    /// The names of the columns, where the format itself has them.
    pub fn names(&self) -> Option<&'static [&'static str]> {
        matches!(self, Self::LabelFirst(_)).then_some(&["label", "text"])
    }

    pub fn next(&mut self) -> Result<Option<(Place, Vec<String>)>> {
        let (lines, split): (_, fn(&str) -> Vec<String>) = match self {
            Self::Csv(csv) => return csv.next(),
            Self::Tsv(lines) => (lines, |line| line.split('\t').map(str::to_owned).collect()),
            Self::LabelFirst(lines) => (lines, |line| {
                let (label, text) = line.trim().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
                vec![label.to_owned(), text.trim().to_owned()]
            }),
        };
        loop {
            let Some(line) = lines.next_line()? else { return Ok(None) };
            if !line.is_empty() {
                let fields = split(line);
                return Ok(Some((lines.place().clone(), fields)));
            }
        }
    }
}

/// Records of a CSV file, as text.
pub struct Csv {
    records: Delimited,
    place: Place,
}

impl Csv {
    fn new(path: &Path, source: Source, separator: u8) -> Self {
        let dialect = Dialect { separator, ..Dialect::default() };
        Self { records: Delimited::new(source, dialect), place: Place::of(path) }
    }

    fn next(&mut self) -> Result<Option<(Place, Vec<String>)>> {
        let record = self.records.next_record();
        let place = self.place.at(self.records.line() + 1);
        let record = match record.map_err(|source| DataError::Read { place, source })? {
            None => return Ok(None),
            Some(record) => record.map_err(|broken| match broken {
                Broken::OpenQuote { line } => DataError::OpenQuote { place: self.place.at(line) },
                Broken::TooLong { line, limit } => DataError::TooLong { place: self.place.at(line), limit },
            })?,
        };
        let place = self.place.at(record.line);
        let not_text = |found| DataError::NotText { place: place.clone(), found };
        let text = |field| match String::from_utf8(field) {
            Ok(text) if !text.contains('\0') => Ok(text),
            Ok(_) => Err(not_text("a NUL byte")),
            Err(_) => Err(not_text("bytes that are not UTF-8")),
        };
        let fields = record.fields.into_iter().map(text).collect::<Result<Vec<_>>>()?;
        Ok(Some((place, fields)))
    }
}
