//! Rows of a table: CSV and TSV.

use std::io::{BufRead, BufReader, Cursor};

use bert_tasks::data::{Broken, Delimited, Dialect, Record, Source};

use super::args::InputArgs;
use super::format::{InputFormat, separator_name};
use super::kept::{Cell, Kept};
use super::layout::{Layout, column};
use super::lines::BOM;
use super::record::decode;
use super::{ALL, BadItem, Error, Item, MAX_RECORD, Place, RecordError, Result, sniff};

/// The rows below the header of a table.
pub struct Rows {
    name: String,
    records: Delimited,
    dialect: Dialect,
    layout: Box<dyn Layout>,
    columns: Vec<usize>,
    /// How many columns there are.
    width: usize,
    /// What travels along.
    keep: Vec<usize>,
    kept: Kept,
    lossy: bool,
}

/// Separators that a header can tell, the likeliest first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

impl Rows {
    /// Reads the header and finds the columns. Says what was found out about the table.
    ///
    /// # Errors
    /// A source that cannot be read, is empty, or lacks a column.
    pub fn open(
        name: &str,
        source: Source,
        format: InputFormat,
        args: &InputArgs,
        mut layout: Box<dyn Layout>,
    ) -> Result<(Self, Option<String>)> {
        let failed = |source| Error::Read { name: name.to_owned(), source };
        let mut source = BufReader::with_capacity(64 << 10, source);
        let start = source.fill_buf().map_err(failed)?.to_vec();
        sniff::check(name, &start)?;
        let dialect = |separator| Dialect { separator, quotes: format == InputFormat::Csv };
        let mut notice = None;
        let said = said_separator(&start).filter(|_| format == InputFormat::Csv);
        let separator = match (args.delimiter.or(said), format) {
            (Some(separator), _) => separator,
            (None, InputFormat::Tsv) => b'\t',
            (None, _) => {
                let found = find_separator(&start, |separator| {
                    let header = header(name, &start, dialect(separator)).ok()?;
                    layout.columns(name, &header).ok()
                });
                if found != b',' {
                    let found = separator_name(found);
                    notice = Some(format!("{name}: the header shows that a {found} separates the columns"));
                }
                found
            }
        };
        let mut records = Delimited::new(Box::new(source), dialect(separator)).with_limit(MAX_RECORD);
        if said.is_some() {
            // The line that says it is no header.
            let _ = records.next_record().map_err(failed)?;
        }
        let header = names(name, records.next_record().map_err(failed)?)?;
        let columns = layout.columns(name, &header)?;
        let keep = kept_columns(name, &header, &columns, &args.keep)?;
        let kept = Kept { names: keep.iter().map(|&at| header[at].clone()).collect(), cells: vec![] };
        let (name, width, lossy) = (name.to_owned(), header.len(), args.lossy);
        let dialect = dialect(separator);
        Ok((Self { name, records, dialect, layout, columns, width, keep, kept, lossy }, notice))
    }

    /// Whether a row may be there already.
    pub fn ready(&self) -> bool {
        self.records.ready()
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The outer error is the source's and ends it; the inner one is of this row.
    pub fn next(&mut self) -> Result<Option<Result<Item, BadItem>>> {
        let record = self.records.next_record();
        let record = match record.map_err(|source| Error::Read { name: self.name.clone(), source })? {
            None => return Ok(None),
            Some(Err(broken)) => {
                return Ok(Some(Err(BadItem { place: Place::Line(broken.line()), error: error_of(broken) })));
            }
            Some(Ok(record)) => record,
        };
        let (place, end) = (Place::Line(record.line), record.end);
        Ok(Some(match self.texts(record) {
            Ok((texts, kept)) => Ok(Item { place, texts, kept, end }),
            Err(error) => Err(BadItem { place, error }),
        }))
    }

    fn texts(&self, Record { fields, .. }: Record) -> Result<(Vec<String>, Kept), RecordError> {
        if fields.len() != self.width {
            let Dialect { separator, quotes } = self.dialect;
            let (expected, found, separator) = (self.width, fields.len(), separator_name(separator));
            return Err(RecordError::Columns { expected, found, separator, quotes });
        }
        let text = |&at: &usize| decode(fields[at].clone(), self.lossy);
        let texts = self.layout.row(self.columns.iter().map(text).collect::<Result<_, _>>()?)?;
        let cells = self.keep.iter().map(|at| text(at).map(Cell::Text)).collect::<Result<_, _>>()?;
        Ok((texts, Kept { names: self.kept.names.clone(), cells }))
    }
}

/// The separator that a first line says, as spreadsheets of some languages write and read it: `sep=;`.
fn said_separator(start: &[u8]) -> Option<u8> {
    match start.strip_prefix(BOM).unwrap_or(start).strip_prefix(b"sep=")? {
        [separator, b'\n' | b'\r', ..] if separator.is_ascii() => Some(*separator),
        _ => None,
    }
}

/// The separator of a table, by its header. One that leads to the columns is preferred.
fn find_separator(start: &[u8], mut finds: impl FnMut(u8) -> Option<Vec<usize>>) -> u8 {
    let counts = count_separators(start);
    let there = SEPARATORS.into_iter().zip(counts).filter(|(_, count)| *count > 0);
    let mut there: Vec<_> = there.collect();
    // Commas first, else by their number; of equals the likelier.
    there.sort_by_key(|(separator, count)| (*separator != b',', std::cmp::Reverse(*count)));
    let leads = there.iter().find(|(separator, _)| there.len() > 1 && finds(*separator).is_some());
    leads.or(there.first()).map_or(b',', |(separator, _)| *separator)
}

/// How often each separator stands in the first line, outside of quotes.
fn count_separators(start: &[u8]) -> [usize; SEPARATORS.len()] {
    let (mut counts, mut inside, mut any) = ([0; SEPARATORS.len()], false, false);
    for &byte in start {
        match byte {
            b'"' => inside = !inside,
            b'\n' | b'\r' if !inside && any => break,
            _ if !inside => {
                if let Some(at) = SEPARATORS.iter().position(|&separator| separator == byte) {
                    counts[at] += 1;
                }
            }
            _ => {}
        }
        any |= !byte.is_ascii_whitespace() || byte == b'\t';
    }
    counts
}

/// The names of the columns in a header that has been read ahead.
fn header(name: &str, start: &[u8], dialect: Dialect) -> Result<Vec<String>> {
    let mut records = Delimited::new(Box::new(Cursor::new(start.to_vec())), dialect);
    names(name, records.next_record().map_err(|source| Error::Read { name: name.to_owned(), source })?)
}

fn names(name: &str, header: Option<Result<Record, Broken>>) -> Result<Vec<String>> {
    let name = name.to_owned();
    match header {
        None => Err(Error::EmptyInput { name }),
        Some(Err(broken)) => Err(Error::BadRecord { name, line: broken.line(), error: error_of(broken) }),
        Some(Ok(record)) => {
            let text = |column: &Vec<u8>| String::from_utf8_lossy(column).trim().to_owned();
            Ok(record.fields.iter().map(text).collect())
        }
    }
}

fn error_of(broken: Broken) -> RecordError {
    match broken {
        Broken::OpenQuote { .. } => RecordError::OpenQuote,
        Broken::TooLong { limit, .. } => RecordError::TooLong { limit },
    }
}

/// The columns that travel along: those that are named, or all that hold no text.
fn kept_columns(name: &str, header: &[String], texts: &[usize], wanted: &[String]) -> Result<Vec<usize>> {
    let mut keep = vec![];
    for wanted in wanted {
        if wanted == ALL {
            for at in (0..header.len()).filter(|at| !texts.contains(at)) {
                // One that is there twice cannot be told apart in the results.
                column(name, header, &header[at])?;
                keep.push(at);
            }
        } else {
            keep.push(column(name, header, wanted)?);
        }
    }
    let mut seen = vec![];
    keep.retain(|at| {
        !seen.contains(at) && {
            seen.push(*at);
            true
        }
    });
    Ok(keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn separator(header: &str, wanted: &str) -> char {
        let names = |separator: u8| -> Vec<String> {
            header.split(char::from(separator)).map(|name| name.trim_matches('"').to_owned()).collect()
        };
        let finds = |separator| names(separator).iter().position(|name| name == wanted).map(|at| vec![at]);
        char::from(find_separator(header.as_bytes(), finds))
    }

    #[test]
    fn a_first_line_may_say_the_separator() {
        for (start, said) in [
            ("sep=;\na;b", Some(b';')),
            ("\u{feff}sep=\t\r\n", Some(b'\t')),
            ("sep=;;\n", None),
            ("sep", None),
        ] {
            assert_eq!(said_separator(start.as_bytes()), said, "{start:?}");
        }
    }

    #[test]
    fn the_header_tells_the_separator() {
        for (header, found) in [
            ("id,text", ','),
            ("text", ','),
            ("", ','),
            ("id;text\nother,line", ';'),
            ("\n\nid;text", ';'),
            ("id\ttext", '\t'),
            ("\ttext", '\t'),
            ("id|text|x", '|'),
            ("\"a,b\";text", ';'),
            ("id;text;a,b", ';'),
            ("text,a;b;c", ','),
            ("a;b;c,d", ','),
            ("a;b\tc\td", '\t'),
        ] {
            assert_eq!(separator(header, "text"), found, "{header:?}");
        }
    }
}
