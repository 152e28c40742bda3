//! The values of a JSON file: the elements of an array, or values one after another.

use std::io::{BufRead, BufReader};

use bert_tasks::data::Source;

use super::buffered::fill;
use super::lines::BOM;
use super::{MAX_RECORD, sniff};
use crate::error::{Error, RecordError, Result};

/// A value as its bytes, with the line that it begins at.
type Value = (u64, Result<Vec<u8>, RecordError>);

/// The values of a source, each as its text, found without holding more than one of them.
pub struct Values {
    name: String,
    source: BufReader<Source>,
    state: State,
    /// The line of the next byte, counted from 1.
    line: u64,
    offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first element of an array.
    First,
    /// Behind an element of an array.
    Behind,
    /// Values without an array around them.
    Bare,
    /// Behind the array.
    Closed,
    /// Nothing more can be read.
    Over,
}

impl Values {
    /// The values of a source, from its start; `name` is for messages.
    ///
    /// # Errors
    /// A source that cannot be read, is empty, or is no text.
    pub fn open(name: &str, source: Source) -> Result<Self> {
        let source = BufReader::with_capacity(64 << 10, source);
        let mut values = Self { name: name.to_owned(), source, state: State::Bare, line: 1, offset: 0 };
        sniff::check(name, values.fill()?)?;
        if values.fill()?.starts_with(BOM) {
            values.consume(BOM.len());
        }
        match values.skip_blanks()? {
            None => return Err(Error::EmptyInput { name: name.to_owned() }),
            Some(b'[') => {
                values.consume(1);
                values.state = State::First;
            }
            Some(_) => {}
        }
        Ok(values)
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether more has been read already than was asked for.
    pub fn ready(&self) -> bool {
        !self.source.buffer().is_empty()
    }

    /// The next value with the line that it begins at; `None` at the end.
    ///
    /// # Errors
    /// The outer error is the source's and ends it; the inner one is of this value.
    pub fn next(&mut self) -> Result<Option<Value>> {
        let next = self.skip_blanks()?;
        let line = self.line;
        let next = match (self.state, next) {
            (State::Over, _) | (State::Bare | State::Closed, None) => return Ok(None),
            (State::First | State::Behind, Some(b']')) => {
                self.consume(1);
                self.state = State::Closed;
                return self.next();
            }
            (State::Behind, Some(b',')) => {
                self.consume(1);
                self.skip_blanks()?
            }
            (State::First | State::Bare, next) => next,
            (State::Behind, None) => return self.over("the array is not closed: the file ends"),
            (State::Behind, _) => return self.over("expected a comma or ] behind a value"),
            (State::Closed, _) => return self.over("more text behind the array"),
        };
        match next {
            None => self.over("the array is not closed: the file ends"),
            Some(b',' | b']' | b'}' | b':') => self.over("expected a value"),
            Some(first) => {
                if self.state == State::First {
                    self.state = State::Behind;
                }
                let line = if self.state == State::Behind { self.line } else { line };
                Ok(Some((line, self.value(first)?)))
            }
        }
    }

    /// Ends the reading with an error at this line.
    fn over(&mut self, reason: &'static str) -> Result<Option<Value>> {
        self.state = State::Over;
        Ok(Some((self.line, Err(RecordError::JsonDocument { reason }))))
    }

    /// The bytes of the value that begins here. What is longer than the limit is passed over.
    fn value(&mut self, first: u8) -> Result<Result<Vec<u8>, RecordError>> {
        let scalar = !matches!(first, b'{' | b'[' | b'"');
        let mut scan = Scan::default();
        let (mut bytes, mut size) = (vec![], 0);
        loop {
            let part = self.fill()?;
            if part.is_empty() {
                break;
            }
            let end = match scalar {
                true => part.iter().position(|byte| byte.is_ascii_whitespace() || b",]}".contains(byte)),
                false => part.iter().position(|&byte| scan.closes(byte)).map(|at| at + 1),
            };
            let used = end.unwrap_or(part.len());
            size += used;
            if size <= MAX_RECORD {
                bytes.extend_from_slice(&part[..used]);
            } else {
                bytes = vec![];
            }
            self.consume(used);
            if end.is_some() {
                break;
            }
        }
        Ok(if size <= MAX_RECORD { Ok(bytes) } else { Err(RecordError::TooLong { limit: MAX_RECORD }) })
    }

    /// Passes over blanks; the next byte, `None` at the end.
    fn skip_blanks(&mut self) -> Result<Option<u8>> {
        loop {
            let part = self.fill()?;
            if part.is_empty() {
                return Ok(None);
            }
            let blanks = part.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let next = part.get(blanks).copied();
            self.consume(blanks);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    fn fill(&mut self) -> Result<&[u8]> {
        fill(&mut self.source, &self.name)
    }

    fn consume(&mut self, count: usize) {
        let lines = self.source.buffer()[..count].iter().filter(|&&byte| byte == b'\n').count();
        self.line += lines as u64;
        self.offset += count as u64;
        self.source.consume(count);
    }
}

/// Where in a string, an array or an object a byte stands.
#[derive(Default)]
struct Scan {
    depth: usize,
    inside: bool,
    escaped: bool,
}

impl Scan {
    /// Whether the value ends with this byte.
    fn closes(&mut self, byte: u8) -> bool {
        if self.inside {
            let quote = byte == b'"' && !self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            self.inside = !quote;
            return quote && self.depth == 0;
        }
        match byte {
            b'"' => self.inside = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn read(file: &str) -> Vec<(u64, Result<String, String>)> {
        let source: Source = Box::new(io::Cursor::new(file.to_owned().into_bytes()));
        let mut values = Values::open("a.json", source).unwrap();
        let mut found = vec![];
        while let Some((line, value)) = values.next().unwrap() {
            let text =
                value.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|error| error.to_string());
            found.push((line, text));
        }
        found
    }

    fn good(line: u64, text: &str) -> (u64, Result<String, String>) {
        (line, Ok(text.to_owned()))
    }

    #[test]
    fn elements_of_an_array_have_their_lines() {
        assert_eq!(
            read("\u{feff}\r\n[\n \"a\\\"]\" , {\"b\": [1,\n{}]},\n\n3\n, \"漢\\\\\"]\n \n"),
            [good(3, r#""a\"]""#), good(3, "{\"b\": [1,\n{}]}"), good(6, "3"), good(7, r#""漢\\""#)]
        );
        assert_eq!(read(" [ ] "), []);
        assert_eq!(read("[[\"a\"],[\"b\"]]"), [good(1, "[\"a\"]"), good(1, "[\"b\"]")]);
    }

    #[test]
    fn values_need_no_array() {
        assert_eq!(read("{\n\"a\": 1\n}\n"), [good(1, "{\n\"a\": 1\n}")]);
        assert_eq!(
            read("{\"a\": 1}\n\n{\"a\": 2} \"b\"\n7"),
            [good(1, "{\"a\": 1}"), good(3, "{\"a\": 2}"), good(3, "\"b\""), good(4, "7")]
        );
    }

    #[test]
    fn what_is_no_document_is_told_with_its_line() {
        for (file, values, line, part) in [
            ("[1\n", 1, 2, "not closed"),
            ("[1,\n", 1, 2, "not closed"),
            ("[\n", 0, 2, "not closed"),
            ("[1\n2]", 1, 2, "a comma"),
            ("[1,\n]", 1, 2, "expected a value"),
            ("[\n,1]", 0, 2, "expected a value"),
            ("[1]\n[2]", 1, 2, "behind the array"),
            ("1\n}", 1, 2, "expected a value"),
        ] {
            let found = read(file);
            assert_eq!(found.len(), values + 1, "{file:?}: {found:?}");
            let (at, error) = &found[values];
            assert!(*at == line && error.as_ref().unwrap_err().contains(part), "{file:?}: {found:?}");
        }
        // What is cut off is handed out as it is; it is no JSON.
        assert_eq!(read("[\"a\n")[0], good(1, "\"a\n"));
        let source: Source = Box::new(&b" \n "[..]);
        assert!(matches!(Values::open("a.json", source), Err(Error::EmptyInput { .. })));
    }

    #[test]
    fn long_values_are_passed_over() {
        let long = format!("[\"{}\",\n\"b\"]", "x".repeat(MAX_RECORD));
        let found = read(&long);
        assert!(found[0].1.as_ref().unwrap_err().contains("longer than"), "{:?}", found[0].0);
        assert_eq!(found[1], good(2, "\"b\""));
    }
}
