//! Lines as they stand in a source, with what ended them.

use std::io::{self, BufRead, BufReader};

use super::super::open::Source;

/// What a pipe holds, so that all that another program has written comes in one read.
const BUFFER: usize = 64 << 10;

/// A line with what ended it.
pub struct RawLine {
    /// Its number, counted from 1.
    pub number: u64,
    /// How many bytes of the source end with it.
    pub end: u64,
    /// The line without its end.
    pub bytes: Vec<u8>,
    /// Its end; nothing of a last line that lacks one.
    pub line_end: &'static [u8],
    /// Whether it is longer than was asked for; then it has no bytes.
    pub too_long: bool,
}

/// The lines of a source. A byte order mark is passed over.
pub struct RawLines {
    source: BufReader<Source>,
    /// What lines end with, once it is known: `\n` (also after `\r`), or `\r` alone.
    line_end: Option<u8>,
    number: u64,
    offset: u64,
}

impl RawLines {
    pub fn new(source: Source) -> Self {
        Self { source: BufReader::with_capacity(BUFFER, source), line_end: None, number: 0, offset: 0 }
    }

    /// The number of the line that was read last.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether a whole line is there already.
    pub fn ready(&self) -> bool {
        self.source.buffer().contains(&self.terminator())
    }

    /// The last byte of a line end.
    pub fn terminator(&self) -> u8 {
        self.line_end.unwrap_or(b'\n')
    }

    /// The next line; what is longer than `limit` is passed over.
    pub fn next(&mut self, limit: usize) -> io::Result<Option<RawLine>> {
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
