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

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader};

use csv_core::{ReadFieldResult, Reader, ReaderBuilder, Terminator};

use super::lines::MAX_RECORD;
use super::open::Source;

/// What a pipe holds, so that all that another program has written comes in one read.
const BUFFER: usize = 64 << 10;

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
            lines: RawLines {
                source: BufReader::with_capacity(BUFFER, source),
                line_end: None,
                number: 0,
                offset: 0,
            },
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
        self.lines.number
    }

    /// Whether a line is there already, so that the next record most likely needs no wait.
    pub fn ready(&self) -> bool {
        !self.again.is_empty() || self.lines.source.buffer().contains(&self.lines.terminator())
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

/// A line with what ended it.
struct RawLine {
    number: u64,
    /// How many bytes of the source end with it.
    end: u64,
    bytes: Vec<u8>,
    line_end: &'static [u8],
    /// Whether it is longer than was asked for; then it has no bytes.
    too_long: bool,
}

struct RawLines {
    source: BufReader<Source>,
    /// What lines end with, once it is known: `\n` (also after `\r`), or `\r` alone.
    line_end: Option<u8>,
    number: u64,
    offset: u64,
}

impl RawLines {
    fn terminator(&self) -> u8 {
        self.line_end.unwrap_or(b'\n')
    }

    /// The next line; what is longer than `limit` is passed over.
    fn next(&mut self, limit: usize) -> io::Result<Option<RawLine>> {
        if self.line_end.is_none() {
            self.begin()?;
        }
        let terminator = self.terminator();
        let (mut bytes, mut too_long, mut ended) = (vec![], false, false);
        let start = self.offset;
        while !ended {
            let part = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                part => part?,
            };
            if part.is_empty() {
                break;
            }
            let end = part.iter().position(|&byte| byte == terminator);
            ended = end.is_some();
            let content = &part[..end.unwrap_or(part.len())];
            if bytes.len() + content.len() > limit {
                too_long = true;
                bytes = vec![];
            } else if !too_long {
                bytes.extend_from_slice(content);
            }
            let used = content.len() + usize::from(ended);
            self.source.consume(used);
            self.offset += used as u64;
        }
        if self.offset == start {
            return Ok(None);
        }
        self.number += 1;
        let line_end: &[u8] = match (ended, terminator) {
            (false, _) => b"",
            (true, b'\r') => b"\r",
            (true, _) if bytes.last() == Some(&b'\r') => {
                bytes.pop();
                b"\r\n"
            }
            (true, _) => b"\n",
        };
        Ok(Some(RawLine { number: self.number, end: self.offset, bytes, line_end, too_long }))
    }

    /// Passes over a byte order mark, and finds out how lines end.
    fn begin(&mut self) -> io::Result<()> {
        const BOM: &[u8] = b"\xef\xbb\xbf";
        let mut start = self.source.fill_buf()?;
        if start.starts_with(BOM) {
            self.source.consume(BOM.len());
            self.offset = BOM.len() as u64;
            start = self.source.fill_buf()?;
        }
        // A return at the end of what is there may have its line feed behind it.
        let returns = start.iter().position(|&byte| byte == b'\r').is_some_and(|at| at + 1 < start.len());
        let old_mac = returns && !start.contains(&b'\n');
        self.line_end = Some(if old_mac { b'\r' } else { b'\n' });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    type Found = Vec<Result<(u64, Vec<String>), u64>>;

    fn read(file: &[u8], dialect: Dialect, limit: usize) -> Found {
        let source: Source = Box::new(io::Cursor::new(file.to_vec()));
        let mut records = Delimited::new(source, dialect).with_limit(limit);
        let mut found = vec![];
        while let Some(record) = records.next_record().unwrap() {
            let text = |field: &Vec<u8>| String::from_utf8_lossy(field).into_owned();
            let record = record.map(|record| (record.line, record.fields.iter().map(text).collect()));
            found.push(record.map_err(Broken::line));
        }
        found
    }

    fn csv(file: &str) -> Found {
        read(file.as_bytes(), Dialect::default(), 1 << 20)
    }

    fn row(line: u64, fields: &[&str]) -> Result<(u64, Vec<String>), u64> {
        Ok((line, fields.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn lines_are_counted_however_they_end() {
        for end in ["\n", "\r\n", "\r"] {
            let file = ["\u{feff}a,b", "", "\"x", "", "y\",1", "", "z,", "\"q\"\"\" ,2"].join(end);
            let inside = format!("x{end}{end}y");
            let expected =
                [row(1, &["a", "b"]), row(3, &[&inside, "1"]), row(7, &["z", ""]), row(8, &["q\" ", "2"])];
            assert_eq!(csv(&file), expected, "{end:?}");
            assert_eq!(csv(&(file + end)), expected, "{end:?}");
        }
        // A stray return is data where lines end otherwise.
        assert_eq!(csv("a,b\nx\ry,1\n"), [row(1, &["a", "b"]), row(2, &["x\ry", "1"])]);
        for empty in ["", "\u{feff}", "\n", "\r\n\r\n"] {
            assert_eq!(csv(empty), [], "{empty:?}");
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_is_told_where_it_opens() {
        assert_eq!(csv("a,b\n\"open,1\nx,2\n"), [row(1, &["a", "b"]), Err(2), row(3, &["x", "2"])]);
        // In a later line of a record whose first quote is closed.
        assert_eq!(csv("\"a\nb\",\"c\nd,e\n"), [Err(2), row(3, &["d", "e"])]);
        assert_eq!(csv("\"").len(), 1);
        assert_eq!(csv("a\"b,\"c\"d\"\n"), [row(1, &["a\"b", "cd\""])]);
        // Not further than the longest record.
        let found = read(
            format!("\"{}\n{}\nx\n", "a".repeat(60), "b".repeat(60)).as_bytes(),
            Dialect::default(),
            100,
        );
        assert_eq!((found.len(), &found[0], &found[2]), (3, &Err(1), &row(3, &["x"])));
    }

    #[test]
    fn long_lines_are_passed_over() {
        let file = format!("a\n{}\nb\n", "x".repeat(200));
        assert_eq!(read(file.as_bytes(), Dialect::default(), 100), [row(1, &["a"]), Err(2), row(3, &["b"])]);
        let endless = io::BufReader::new(io::repeat(b'x').take(1 << 24));
        let mut records = Delimited::new(Box::new(endless), Dialect::default()).with_limit(100);
        assert_eq!(records.next_record().unwrap(), Some(Err(Broken::TooLong { line: 1, limit: 100 })));
    }

    #[test]
    fn tabs_need_no_quotes() {
        let found = read(b"a\t\"b\nc\td\"\n", Dialect::TSV, 100);
        assert_eq!(found, [row(1, &["a", "\"b"]), row(2, &["c", "d\""])]);
    }

    proptest! {
        /// What a writer of CSV wrote is read as it was.
        #[test]
        fn records_come_back(
            records in prop::collection::vec(prop::collection::vec("[ab,;\"\r\n é]{0,4}", 1..4), 0..8),
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(vec![]);
            for record in &records {
                writer.write_record(record).unwrap();
            }
            let file = writer.into_inner().unwrap();
            let found = read(&file, Dialect::default(), 1 << 20);
            let found: Vec<_> = found.into_iter().map(|record| record.unwrap().1).collect();
            prop_assert_eq!(found, records);
        }
    }
}
