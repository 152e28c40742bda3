//! The lines of a text file, with deliberate answers to everything that is no line of text.

use std::io::{BufRead, Read};
use std::path::Path;

use super::Place;
use super::error::{DataError, Result};
use super::open::{Source, open};

/// The longest line or record that is read, unless something else is asked for.
pub const MAX_RECORD: usize = 64 << 20;

/// What to do with bytes that are no text: invalid UTF-8, and NUL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Damaged {
    /// They are an error. Labelled data is always read like this.
    #[default]
    Refuse,
    /// Each is replaced by U+FFFD, which BERT's tokenizer removes.
    Replace,
}

/// Lines of a file, one at a time, in one buffer.
///
/// Lines end with `\n` or `\r\n`. A byte order mark at the beginning is dropped. UTF-16, a line above the limit
/// and, unless they are to be replaced, invalid UTF-8 and NUL bytes are errors.
pub struct Lines {
    source: Source,
    /// The line that was read last.
    place: Place,
    bytes: Vec<u8>,
    /// The line with its damage replaced.
    replaced: String,
    limit: usize,
    damaged: Damaged,
}

impl Lines {
    /// The lines of a file.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Ok(Self::new(path, open(path)?))
    }

    /// The lines of what is open already. The name is for messages.
    pub fn new(name: impl AsRef<Path>, source: Source) -> Self {
        Self {
            source,
            place: Place::of(name),
            bytes: vec![],
            replaced: String::new(),
            limit: MAX_RECORD,
            damaged: Damaged::Refuse,
        }
    }

    /// The same with another limit for a line, in bytes, and another answer to damage.
    #[must_use]
    pub fn with(self, limit: usize, damaged: Damaged) -> Self {
        Self { limit, damaged, ..self }
    }

    /// The place of the line that was read last.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The next line without its end; `None` at the end of the file.
    ///
    /// # Errors
    /// [`DataError::Read`], [`DataError::TooLong`], [`DataError::NotText`].
    pub fn next_line(&mut self) -> Result<Option<&str>> {
        self.place.line += 1;
        self.bytes.clear();
        // One byte more than the limit and its line end tells whether there is more.
        let most = self.limit as u64 + 2;
        let read = self.source.by_ref().take(most).read_until(b'\n', &mut self.bytes);
        let read = read.map_err(|source| DataError::Read { place: self.place.clone(), source })?;
        if read == 0 {
            return Ok(None);
        }
        if self.bytes.last() == Some(&b'\n') {
            self.bytes.pop();
            if self.bytes.last() == Some(&b'\r') {
                self.bytes.pop();
            }
        }
        if self.bytes.len() > self.limit {
            return Err(DataError::TooLong { place: self.place.clone(), limit: self.limit });
        }
        let mut line = &self.bytes[..];
        if self.place.line == 1 {
            if line.starts_with(&[0xff, 0xfe]) || line.starts_with(&[0xfe, 0xff]) {
                return Err(self.not_text("UTF-16"));
            }
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        match (std::str::from_utf8(line), self.damaged) {
            (Ok(text), _) if !text.contains('\0') => Ok(Some(text)),
            (Ok(_), Damaged::Refuse) => Err(self.not_text("a NUL byte")),
            (Err(_), Damaged::Refuse) => Err(self.not_text("bytes that are not UTF-8")),
            (_, Damaged::Replace) => {
                self.replaced = String::from_utf8_lossy(line).replace('\0', "\u{fffd}");
                Ok(Some(&self.replaced))
            }
        }
    }

    fn not_text(&self, found: &'static str) -> DataError {
        DataError::NotText { place: self.place.clone(), found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &'static [u8]) -> Lines {
        Lines::new("file.txt", Box::new(file))
    }

    fn all(mut lines: Lines) -> Result<Vec<String>> {
        let mut all = vec![];
        while let Some(line) = lines.next_line()? {
            all.push(line.to_owned());
        }
        Ok(all)
    }

    #[test]
    fn line_ends_and_marks() {
        assert_eq!(
            all(lines(b"\xef\xbb\xbfa\r\n\nb\r c\n\xef\xbb\xbfd")).unwrap(),
            ["a", "", "b\r c", "\u{feff}d"]
        );
        assert!(all(lines(b"")).unwrap().is_empty());
        assert_eq!(all(lines(b"\n")).unwrap(), [""]);
        assert_eq!(all(lines(b"\xef\xbb\xbf")).unwrap(), [""]);
    }

    #[test]
    fn what_is_no_text_is_named_or_replaced() {
        for (file, found, line) in
            [(&b"a\nb\xffc\n"[..], "UTF-8", 2), (b"a\nb\0c\n", "NUL", 2), (b"\xff\xfea\0\n\0", "UTF-16", 1)]
        {
            let error = all(lines(file)).unwrap_err();
            assert!(matches!(&error, DataError::NotText { place, .. } if place.line == line), "{error}");
            assert!(error.to_string().starts_with(&format!("file.txt:{line}: ")), "{error}");
            assert!(error.to_string().contains(found), "{error}");
        }
        let replaced = all(lines(b"a\xff\n\0b\n").with(9, Damaged::Replace)).unwrap();
        assert_eq!(replaced, ["a\u{fffd}", "\u{fffd}b"]);
    }

    #[test]
    fn long_lines_are_errors_before_they_fill_the_memory() {
        let with = |file| all(lines(file).with(3, Damaged::Refuse));
        assert_eq!(with(b"abc\nabc\r\nabc").unwrap(), ["abc"; 3]);
        assert!(
            matches!(with(b"abc\nabcd\n"), Err(DataError::TooLong { limit: 3, place }) if place.line == 2)
        );
        assert!(matches!(with(b"abcdefghijk"), Err(DataError::TooLong { limit: 3, .. })));
        let endless = Lines::new("endless", Box::new(std::io::BufReader::new(std::io::repeat(b'a'))));
        assert!(matches!(all(endless.with(1 << 20, Damaged::Refuse)), Err(DataError::TooLong { .. })));
    }
}
