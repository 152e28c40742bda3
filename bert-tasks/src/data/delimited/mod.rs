//! Records of text with delimiters, such as CSV, each with the line that it begins at.
//!
//! The `csv_core` library reads the fields of a record. It is given one line after another, so that it is known where a
//! record, and a quote that is never closed, begins, however lines end.
//!
//! ```
//! use bert_tasks::data::{Delimited, Dialect};
//! let file: &[u8] = b"text,label\r\n\"one\r\ntwo\",a\r\n\"never closed,b\r\nthree,c\r\n";
//! let mut records = Delimited::new(Box::new(file), Dialect::default());
//! let mut lines = vec![];
//! while let Some(record) = records.next_record()? {
//!     lines.push(record.map(|record| (record.line, record.fields.len())).map_err(|error| error.to_string()));
//! }
//! let open = "a quote is opened here and never closed".to_owned();
//! assert_eq!(lines, [Ok((1, 2)), Ok((2, 2)), Err(open), Ok((5, 2))]);
//! # Ok::<(), std::io::Error>(())
//! ```

mod raw_lines;

use std::collections::VecDeque;
use std::io;

use csv_core::{ReadFieldResult, Reader, ReaderBuilder, Terminator};

use super::lines::MAX_RECORD;
use super::open::Source;
use raw_lines::{RawLine, RawLines};

/// How many quotes that are never closed are passed over. Each costs a search through what follows.
const MOST_OPEN_QUOTES: u32 = 8;

/// How fields are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// What stands between fields: one ASCII character.
    pub separator: u8,
    /// Whether a field may stand in quotes, and then hold separators, line ends, and quotes that are doubled.
    pub quotes: bool,
}

impl Dialect {
    /// Tabs between fields, and no quoting, as in the files of GLUE.
    pub const TSV: Self = Self { separator: b'\t', quotes: false };
}

impl Default for Dialect {
    /// Commas between fields, and quotes.
    fn default() -> Self {
        Self { separator: b',', quotes: true }
    }
}

/// A record as it stands in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The line that it begins at, counted from 1.
    pub line: u64,
    /// How many bytes of the source end with it.
    pub end: u64,
    /// Its fields, without their quotes.
    pub fields: Vec<Vec<u8>>,
}

/// A record that cannot be read, while the ones behind it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A quote that is never closed: up to the end of the file, or within the longest record. The lines behind it are
    /// read as records of their own.
    #[error("a quote is opened here and never closed")]
    OpenQuote {
        /// The line of the quote.
        line: u64,
    },
    /// A line that is too long.
    #[error("more than {limit} bytes in one record")]
    TooLong {
        /// The line.
        line: u64,
        /// The most that is read.
        limit: usize,
    },
}

impl Broken {
    /// The line that cannot be read, counted from 1.
    pub fn line(self) -> u64 {
        match self {
            Self::OpenQuote { line } | Self::TooLong { line, .. } => line,
        }
    }
}

/// The records of a source, one at a time; see the [example](crate::data::Delimited#example).
///
/// Lines end with `\n` or `\r\n`; where the first one ends with a `\r` and no `\n` is near, all lines do. Empty lines are
/// left out, and so is a byte order mark. Bytes are handed out as they are.
///
/// # Example
///
/// ```
/// use bert_tasks::data::{Delimited, Dialect};
/// let file: &[u8] = b"a;b\n1;2\n";
/// let mut records = Delimited::new(Box::new(file), Dialect { separator: b';', ..Dialect::default() });
/// assert_eq!(records.next_record()?.unwrap().unwrap().fields, [b"a", b"b"]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Delimited {
    lines: RawLines,
    /// Lines that are to be read once more.
    again: VecDeque<RawLine>,
    dialect: Dialect,
    /// Where there are quotes.
    core: Option<Box<Reader>>,
    limit: usize,
    open_quotes: u32,
}

impl Delimited {
    /// The records of a source, from its start. Nothing is read yet.
    pub fn new(source: Source, dialect: Dialect) -> Self {
        Self {
            lines: RawLines::new(source),
            again: VecDeque::new(),
            dialect,
            core: None,
            limit: MAX_RECORD,
            open_quotes: 0,
        }
    }

    /// The same with another limit for a record, in bytes.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// The line that was read last; of an error of the source, the line before it.
    pub fn line(&self) -> u64 {
        self.lines.number()
    }

    /// Whether a line is there already, so that the next record most likely needs no wait.
    pub fn ready(&self) -> bool {
        !self.again.is_empty() || self.lines.ready()
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// The outer error is the source's; the inner one is of this record alone.
    pub fn next_record(&mut self) -> io::Result<Option<Result<Record, Broken>>> {
        let first = loop {
            match self.next_line()? {
                None => return Ok(None),
                Some(line) if line.too_long => return Ok(Some(Err(self.too_long(&line)))),
                Some(line) if line.bytes.is_empty() => {}
                Some(line) => break line,
            }
        };
        if !self.dialect.quotes {
            let fields = first.bytes.split(|&byte| byte == self.dialect.separator).map(<[u8]>::to_vec);
            return Ok(Some(Ok(Record { line: first.number, end: first.end, fields: fields.collect() })));
        }
        self.quoted(first).map(Some)
    }

    /// The record that begins with this line.
    fn quoted(&mut self, first: RawLine) -> io::Result<Result<Record, Broken>> {
        let terminator = self.lines.terminator();
        let mut core = self.core.take().unwrap_or_else(|| {
            let mut builder = ReaderBuilder::new();
            builder.delimiter(self.dialect.separator).terminator(Terminator::Any(terminator));
            Box::new(builder.build())
        });
        let mut parse = Parse::default();
        let (mut read, mut size) = (vec![first], 0);
        loop {
            let line = &read[read.len() - 1];
            size += line.bytes.len();
            if parse.line(&mut core, line, terminator) {
                self.core = Some(core);
                return Ok(Ok(Record { line: read[0].number, end: line.end, fields: parse.fields }));
            }
            // The line ended inside of quotes.
            match self.next_line()? {
                Some(line) if !line.too_long && size + line.bytes.len() <= self.limit => read.push(line),
                rest => {
                    let line = parse.field_line;
                    self.open_quotes += 1;
                    if self.open_quotes > MOST_OPEN_QUOTES {
                        self.again.clear();
                        let message = "quotes are opened again and again and never closed";
                        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                    }
                    let again = read.into_iter().chain(rest).filter(|read| read.number > line);
                    for line in again.collect::<Vec<_>>().into_iter().rev() {
                        self.again.push_front(line);
                    }
                    return Ok(Err(Broken::OpenQuote { line }));
                }
            }
        }
    }

    fn next_line(&mut self) -> io::Result<Option<RawLine>> {
        match self.again.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next(self.limit),
        }
    }

    fn too_long(&self, line: &RawLine) -> Broken {
        Broken::TooLong { line: line.number, limit: self.limit }
    }
}

/// A record of which some lines were read.
#[derive(Default)]
struct Parse {
    fields: Vec<Vec<u8>>,
    /// The field that has begun, and its line.
    field: Vec<u8>,
    field_line: u64,
}

impl Parse {
    /// Takes the next line; whether the record ends with it.
    fn line(&mut self, core: &mut Reader, line: &RawLine, terminator: u8) -> bool {
        if self.field_line == 0 {
            self.field_line = line.number;
        }
        let mut out = [0; 4096];
        let mut input = &line.bytes[..];
        while !input.is_empty() {
            let (result, read, written) = core.read_field(input, &mut out);
            self.field.extend_from_slice(&out[..written]);
            input = &input[read..];
            if let ReadFieldResult::Field { .. } = result {
                self.fields.push(std::mem::take(&mut self.field));
                self.field_line = line.number;
            }
        }
        match core.read_field(&[terminator], &mut out).0 {
            ReadFieldResult::Field { .. } => {
                self.fields.push(std::mem::take(&mut self.field));
                true
            }
            _ => {
                self.field.extend_from_slice(line.line_end);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
