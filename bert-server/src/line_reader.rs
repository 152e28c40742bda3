//! The lines of a body, each as soon as it has arrived, in constant memory.

use axum::body::Body;
use http_body_util::BodyExt;

use crate::{Kind, Refusal};

/// Reads lines that are not blank. Only one line is in memory, beside what arrived with it.
pub struct LineReader {
    body: Body,
    buffer: Vec<u8>,
    /// The bytes of the buffer that were given out.
    taken: usize,
    /// The bytes of the buffer that were searched for an end of a line.
    searched: usize,
    /// The longest line, in bytes.
    most: usize,
    /// How many lines were read, blank ones included.
    count: u64,
    ended: bool,
}

impl LineReader {
    pub fn new(body: Body, most: usize) -> Self {
        Self { body, buffer: vec![], taken: 0, searched: 0, most, count: 0, ended: false }
    }

    /// The number of the line that was read last, counted from 1.
    pub fn number(&self) -> u64 {
        self.count
    }

    /// The next line; `None` after the last one. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// A body that breaks off or cannot be unpacked, or a line that is too long; after that there are no more lines.
    pub async fn next(&mut self) -> Option<Result<&[u8], Refusal>> {
        loop {
            if let Some(range) = self.line() {
                return Some(Ok(&self.buffer[range]));
            }
            if self.ended {
                return None;
            }
            if self.buffer.len() - self.taken > self.most {
                self.ended = true;
                self.buffer.clear();
                (self.taken, self.searched) = (0, 0);
                let message =
                    format!("line {} is longer than the {} bytes of --max-body", self.count + 1, self.most);
                return Some(Err(Refusal::new(Kind::TooLarge, message)));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.drain(..self.taken);
                        self.searched -= self.taken;
                        self.taken = 0;
                        self.buffer.extend_from_slice(data);
                    }
                }
                None => self.ended = true,
                Some(Err(_)) => {
                    self.ended = true;
                    self.buffer.clear();
                    (self.taken, self.searched) = (0, 0);
                    let message =
                        format!("the body breaks off after line {}, or cannot be unpacked", self.count);
                    return Some(Err(Refusal::invalid(message)));
                }
            }
        }
    }

    /// The next line in the buffer. The last one need not end.
    fn line(&mut self) -> Option<std::ops::Range<usize>> {
        loop {
            let rest = &self.buffer[self.searched..];
            let end = match rest.iter().position(|&byte| byte == b'\n') {
                Some(at) => self.searched + at,
                None if self.ended && self.taken < self.buffer.len() => self.buffer.len(),
                None => {
                    self.searched = self.buffer.len();
                    return None;
                }
            };
            let range = self.taken..end;
            self.taken = (end + 1).min(self.buffer.len());
            self.searched = self.taken;
            self.count += 1;
            if !self.buffer[range.clone()].trim_ascii().is_empty() {
                return Some(range);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    async fn lines(parts: &[&'static str], most: usize) -> (Vec<String>, Option<u16>) {
        let parts: Vec<Result<_, Infallible>> = parts.iter().map(|part| Ok(*part)).collect();
        let mut reader = LineReader::new(Body::from_stream(stream::iter(parts)), most);
        let mut found = vec![];
        loop {
            match reader.next().await {
                Some(Ok(line)) => found.push(String::from_utf8(line.to_vec()).unwrap()),
                Some(Err(refusal)) => {
                    assert!(reader.next().await.is_none());
                    return (found, Some(refusal.kind.status().as_u16()));
                }
                None => return (found, None),
            }
        }
    }

    #[tokio::test]
    async fn lines_may_come_in_any_parts() {
        for parts in
            [&["a\nbc\n\n  \r\nd"][..], &["a", "\nb", "c\n", "\n  ", "\r\n", "d\n"], &["", "a\nbc\nd"]]
        {
            assert_eq!(lines(parts, 100).await, (vec!["a".into(), "bc".into(), "d".into()], None));
        }
        assert_eq!(lines(&[], 100).await, (vec![], None));
        assert_eq!(lines(&["\n\n", "\n"], 100).await, (vec![], None));
    }

    #[tokio::test]
    async fn a_line_has_a_limit_and_a_body_has_none() {
        assert_eq!(lines(&["aaaa\n", "bbbb\n", "cccc"], 4).await.0.len(), 3);
        assert_eq!(lines(&["aaaa\n", "bb", "bbb"], 4).await, (vec!["aaaa".into()], Some(413)));
        // A line that arrived whole was in memory already.
        assert_eq!(lines(&["aaaaaa\nb"], 4).await.0, ["aaaaaa", "b"]);
    }
}
