//! Lines of a source, one at a time.

use std::io::{BufRead, BufReader};

use bert_tasks::data::Source;

use super::buffered::fill;
use super::record::decode;
use super::{MAX_RECORD, Result, sniff};
use crate::error::RecordError;

/// The mark that some editors put in front of UTF-8.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// What a pipe holds, so that all that another program has written comes in one read.
const BUFFER: usize = 64 << 10;

/// The lines of a source, without their ends. The last line may lack one.
pub struct Lines {
    name: String,
    source: BufReader<Source>,
    number: u64,
    offset: u64,
    lossy: bool,
    looks_like_json: bool,
}

impl Lines {
    /// The lines of a source, from its start; `name` is for messages. Nothing is read yet.
    pub fn new(name: &str, source: Source, lossy: bool) -> Self {
        let source = BufReader::with_capacity(BUFFER, source);
        Self { name: name.to_owned(), source, number: 0, offset: 0, lossy, looks_like_json: false }
    }

    /// The number of the line that [`next`](Self::next) returned, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether a whole line is there already.
    pub fn ready(&self) -> bool {
        self.source.buffer().contains(&b'\n')
    }

    /// Whether the first line, once it has been read, begins as JSON does.
    pub fn looks_like_json(&self) -> bool {
        self.looks_like_json
    }

    /// The next line; `None` at the end of the source.
    ///
    /// # Errors
    /// The outer error is the source's and ends it: it cannot be read, or is no text. The inner one is of this
    /// line.
    pub fn next(&mut self) -> Result<Option<Result<String, RecordError>>> {
        if self.offset == 0 {
            self.fill()?;
            sniff::check(&self.name, self.source.buffer())?;
            self.looks_like_json = sniff::looks_like_json(self.source.buffer());
            if self.source.buffer().starts_with(BOM) {
                self.consume(BOM.len());
            }
        }
        let mut line = vec![];
        let mut too_long = false;
        let mut any = false;
        loop {
            let part = self.fill()?;
            if part.is_empty() {
                break;
            }
            any = true;
            let end = part.iter().position(|&byte| byte == b'\n');
            let content = &part[..end.unwrap_or(part.len())];
            // The rest of a line that is too long is passed over.
            if line.len() + content.len() > MAX_RECORD {
                too_long = true;
                line = vec![];
            } else if !too_long {
                line.extend_from_slice(content);
            }
            let used = end.map_or(part.len(), |end| end + 1);
            self.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        self.number += 1;
        if too_long {
            return Ok(Some(Err(RecordError::TooLong { limit: MAX_RECORD })));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(decode(line, self.lossy)))
    }

    fn fill(&mut self) -> Result<&[u8]> {
        fill(&mut self.source, &self.name)
    }

    fn consume(&mut self, count: usize) {
        self.source.consume(count);
        self.offset += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::*;

    /// Gives its chunks one read at a time, as a pipe does.
    struct Pipe(Vec<&'static [u8]>);

    impl Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let chunk = self.0.remove(0);
            buffer[..chunk.len()].copy_from_slice(chunk);
            Ok(chunk.len())
        }
    }

    #[test]
    fn a_line_is_ready_when_all_of_it_is_there() {
        let pipe = Pipe(vec![b"one\ntwo\nthr", b"ee\nfour"]);
        let mut lines = Lines::new("pipe", Box::new(BufReader::new(pipe)), false);
        let mut found = vec![];
        loop {
            let ready = lines.ready();
            let Some(line) = lines.next().unwrap() else { break };
            found.push((ready, line.unwrap()));
        }
        let expected = [(false, "one"), (true, "two"), (false, "three"), (false, "four")];
        assert_eq!(found, expected.map(|(ready, line)| (ready, line.to_owned())));
    }

    #[test]
    fn a_line_too_long_is_passed_over() {
        let source = io::repeat(b'x').take(MAX_RECORD as u64 + 1).chain(&b"\nnext\n"[..]);
        let mut lines = Lines::new("long", Box::new(BufReader::new(source)), false);
        assert!(matches!(lines.next().unwrap(), Some(Err(RecordError::TooLong { .. }))));
        assert_eq!(lines.next().unwrap().unwrap().unwrap(), "next");
        assert_eq!(lines.number(), 2);
        assert!(lines.next().unwrap().is_none());
    }
}
