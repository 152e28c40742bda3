//! Records of a table: lists of fields, each as a text.

use std::io;
use std::path::Path;

use super::super::Place;
use super::super::error::{DataError, Result};
use super::super::lines::{Lines, MAX_RECORD};
use super::super::open::{LimitReached, Limited, Source};
use super::Format;

/// Records of a file, one at a time. Empty lines are left out.
pub enum Records {
    Csv(Box<Csv>),
    /// Lines whose fields have tabs between them.
    Tsv(Lines),
    LabelFirst(Lines),
}

impl Records {
    pub fn new(path: &Path, source: Source, format: Format) -> Self {
        match format {
            Format::Csv { separator } => Self::Csv(Box::new(Csv::new(path, source, separator))),
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

/// Records of a CSV file, by the `csv` library.
pub struct Csv {
    reader: csv::Reader<Limited<Source>>,
    place: Place,
    record: csv::ByteRecord,
}

impl Csv {
    fn new(path: &Path, source: Source, separator: u8) -> Self {
        let mut builder = csv::ReaderBuilder::new();
        // The first row is for the caller to judge, and so is the number of fields.
        builder.has_headers(false).flexible(true).delimiter(separator);
        let reader = builder.from_reader(Limited::new(source));
        Self { reader, place: Place::of(path), record: csv::ByteRecord::new() }
    }

    fn next(&mut self) -> Result<Option<(Place, Vec<String>)>> {
        let source = self.reader.get_mut();
        source.allowed = MAX_RECORD;
        let begun = self.place.at(source.lines + 1);
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(source) => return Err(unread(begun, source)),
        }
        // The csv crate counts lines too, but not those that end with CR LF.
        let inside = self.record.iter().flatten().filter(|&&byte| byte == b'\n').count() as u64;
        let place = self.place.at(self.reader.get_ref().lines.saturating_sub(inside).max(1));
        let text = |field: &[u8]| match std::str::from_utf8(field) {
            Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
            Ok(_) => Err(DataError::NotText { place: place.clone(), found: "a NUL byte" }),
            Err(_) => Err(DataError::NotText { place: place.clone(), found: "bytes that are not UTF-8" }),
        };
        let fields = self.record.iter().map(text).collect::<Result<Vec<_>>>()?;
        Ok(Some((place, fields)))
    }
}

fn unread(place: Place, error: csv::Error) -> DataError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.get_ref().is_some_and(|error| error.is::<LimitReached>()) => {
            DataError::TooLong { place, limit: MAX_RECORD }
        }
        csv::ErrorKind::Io(source) => DataError::Read { place, source },
        kind => DataError::Read { place, source: io::Error::other(format!("{kind:?}")) },
    }
}
