//! Rows of a CSV file.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use csv::{ByteRecord, ErrorKind};

use super::layout::Layout;
use super::record::decode;
use super::{BadItem, Error, Item, MAX_RECORD, Place, RecordError, Result, lines};

/// The rows below the header of a CSV file.
pub struct Rows {
    reader: csv::Reader<ByLine>,
    read: Rc<Progress>,
    layout: Box<dyn Layout>,
    columns: Vec<usize>,
    lossy: bool,
}

impl Rows {
    /// Reads the header and finds the columns.
    ///
    /// # Errors
    /// A source that cannot be read, or lacks a column.
    pub fn new(name: &str, source: Box<dyn Read>, mut layout: Box<dyn Layout>, lossy: bool) -> Result<Self> {
        let failed = |source| Error::Read { name: name.to_owned(), source };
        let mut source = BufReader::new(source);
        let read = Rc::<Progress>::default();
        let start = source.fill_buf().map_err(failed)?;
        lines::check_encoding(name, start)?;
        if start.starts_with(lines::BOM) {
            source.consume(lines::BOM.len());
            read.bytes.set(lines::BOM.len() as u64);
        }
        let mut reader = csv::Reader::from_reader(ByLine { source, read: read.clone() });
        let header = reader.byte_headers().map_err(|error| failed(error.into()))?;
        let header: Vec<String> =
            header.iter().map(|column| String::from_utf8_lossy(column).trim().to_owned()).collect();
        let columns = layout.columns(name, &header)?;
        Ok(Self { reader, read, layout, columns, lossy })
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The outer error is the source's and ends it; the inner one is of this row.
    pub fn next(&mut self) -> io::Result<Option<Result<Item, BadItem>>> {
        self.read.record.set(0);
        let mut row = ByteRecord::new();
        let texts = match self.reader.read_byte_record(&mut row) {
            Ok(false) => return Ok(None),
            Ok(true) => {
                let text = |&column: &usize| decode(row.get(column).unwrap_or_default().to_vec(), self.lossy);
                self.columns
                    .iter()
                    .map(text)
                    .collect::<Result<_, _>>()
                    .and_then(|fields| self.layout.row(fields))
            }
            Err(error) => match error.kind() {
                ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    Err(RecordError::Columns { expected: *expected_len, found: *len })
                }
                _ => return Err(error.into()),
            },
        };
        // The csv crate counts lines too, but not those that end with CR LF.
        let inside = row.iter().flatten().filter(|&&byte| byte == b'\n').count() as u64;
        let place = Place::Line(self.read.lines.get().saturating_sub(inside));
        Ok(Some(match texts {
            Ok(texts) => Ok(Item { place, texts, end: self.read.bytes.get() }),
            Err(error) => Err(BadItem { place, error }),
        }))
    }
}

/// Hands out at most one line a read, so that no more has been read than the record at hand needs: this
/// tells where the record is.
struct ByLine {
    source: BufReader<Box<dyn Read>>,
    read: Rc<Progress>,
}

/// How much has been handed out.
#[derive(Default)]
struct Progress {
    /// Bytes since the start.
    bytes: Cell<u64>,
    /// Lines since the start, the one that has begun included.
    lines: Cell<u64>,
    /// Whether the last byte was inside a line.
    inside: Cell<bool>,
    /// Bytes of this record.
    record: Cell<usize>,
}

impl Read for ByLine {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = &self.read;
        // A quote that is never closed must not collect all of a large file.
        if read.record.get() > MAX_RECORD {
            let message = format!("a record of more than {} MiB: is a quote not closed?", MAX_RECORD >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let available = self.source.fill_buf()?;
        let available = &available[..available.len().min(buffer.len())];
        let line = available.iter().position(|&byte| byte == b'\n');
        let count = line.map_or(available.len(), |end| end + 1);
        buffer[..count].copy_from_slice(&available[..count]);
        self.source.consume(count);
        if count > 0 {
            read.lines.set(read.lines.get() + u64::from(!read.inside.get()));
            read.inside.set(line.is_none());
            read.bytes.set(read.bytes.get() + count as u64);
            read.record.set(read.record.get() + count);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Fields;
    use super::*;

    #[test]
    fn a_quote_that_is_never_closed_does_not_fill_the_memory() {
        let source = (&b"text\n\"never closed "[..]).chain(io::repeat(b'x'));
        let fields = Box::new(Fields::new(&["text"], &[]).unwrap());
        let mut rows = Rows::new("a.csv", Box::new(source), fields, false).unwrap();
        assert!(rows.next().unwrap_err().to_string().contains("quote"));
    }

    #[test]
    fn lines_are_counted_however_they_end() {
        for end in ["\n", "\r\n"] {
            let content = ["text,n", "", "a,1", "", "", "\"b", "c\",2", "d,3"].join(end);
            let fields = Box::new(Fields::new(&["text"], &[]).unwrap());
            let source: Box<dyn Read> = Box::new(io::Cursor::new(content.clone()));
            let mut rows = Rows::new("a.csv", source, fields, false).unwrap();
            let mut found = vec![];
            while let Some(row) = rows.next().unwrap() {
                let row = row.unwrap();
                found.push((row.place, row.end));
            }
            let place = |text: &str| content.find(text).unwrap() + text.len();
            let ends = [place("a,1") + end.len(), place("c\",2") + end.len(), content.len()];
            let expected: Vec<_> =
                [3, 6, 8].into_iter().zip(ends).map(|(line, end)| (Place::Line(line), end as u64)).collect();
            assert_eq!(found, expected);
        }
    }
}
