//! Reading labelled words in the form of the CoNLL shared tasks: a word and its label a line, a blank line
//! between sentences.
//!
//! ```
//! use bert_tasks::token_classification::{Scheme, conll};
//! let file = "Sarah I-PER\nlives O\nin O\nParis I-LOC\n\nShe O\n";
//! let sentences = conll::read(file.as_bytes()).collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(sentences.len(), 2);
//! let entities = sentences[0].entities(Scheme::Iob);
//! assert_eq!((entities[1].label, &sentences[0].text()[entities[1].range.clone()]), ("LOC", "Paris"));
//! # Ok::<(), bert_tasks::Error>(())
//! ```

use std::io::BufRead;

use super::{Scheme, Span};
use crate::{Error, Result};

/// Words with one label each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence {
    /// The words. In files whose columns are parted by tabs, a word may hold blanks, or nothing.
    pub words: Vec<String>,
    /// As many labels, with their prefixes.
    pub labels: Vec<String>,
}

impl Sentence {
    /// The words, parted by single blanks.
    pub fn text(&self) -> String {
        self.words.join(" ")
    }

    /// The entities that the labels make, as bytes of [`text`](Self::text).
    pub fn entities(&self, scheme: Scheme) -> Vec<Span<'_>> {
        let mut starts = Vec::with_capacity(self.words.len());
        let mut start = 0;
        for word in &self.words {
            starts.push(start);
            start += word.len() + 1;
        }
        let mut spans = scheme.spans(self.labels.iter().map(String::as_str));
        for span in &mut spans {
            let last = span.range.end - 1;
            span.range = starts[span.range.start]..starts[last] + self.words[last].len();
        }
        spans
    }
}

/// Sentences of a file, one at a time; made by [`read`].
pub struct Sentences<R> {
    lines: R,
    /// How many lines were read.
    line: usize,
    done: bool,
}

/// Reads sentences. The word is the first column and the label the last; columns are parted by tabs, or by
/// blanks in lines without tabs. `-DOCSTART-` lines part documents and count as blank.
///
/// An item is [`Error::ReadLine`] or [`Error::NoLabel`] where a line cannot be read or has no label; nothing
/// follows it.
pub fn read<R: BufRead>(lines: R) -> Sentences<R> {
    Sentences { lines, line: 0, done: false }
}

impl<R: BufRead> Sentences<R> {
    /// The next sentence, empty at the end of the file.
    fn sentence(&mut self) -> Result<Sentence> {
        let mut sentence = Sentence::default();
        let mut line = String::new();
        loop {
            line.clear();
            self.line += 1;
            let read = self.lines.read_line(&mut line);
            let end = read.map_err(|source| Error::ReadLine { line: self.line, source })? == 0;
            let line = line.trim_end();
            if line.is_empty() || line.starts_with("-DOCSTART-") {
                if end || !sentence.words.is_empty() {
                    return Ok(sentence);
                }
                continue;
            }
            let parting = if line.contains('\t') { '\t' } else { ' ' };
            let columns = line.split_once(parting).zip(line.rsplit_once(parting));
            let Some(((word, _), (_, label))) = columns else {
                return Err(Error::NoLabel { line: self.line, found: line.chars().take(40).collect() });
            };
            sentence.words.push(word.trim().to_owned());
            sentence.labels.push(label.trim().to_owned());
        }
    }
}

impl<R: BufRead> Iterator for Sentences<R> {
    type Item = Result<Sentence>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let sentence = self.sentence();
        self.done = sentence.as_ref().map_or(true, |sentence| sentence.words.is_empty());
        match sentence {
            Ok(sentence) if sentence.words.is_empty() => None,
            other => Some(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(file: &str) -> Vec<(String, String)> {
        let sentences = read(file.as_bytes()).map(Result::unwrap);
        sentences.map(|sentence| (sentence.text(), sentence.labels.join(" "))).collect()
    }

    #[test]
    fn columns_blank_lines_and_documents() {
        let file =
            "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\r\nrejects VBZ B-VP O\n\n \n\nÀ\tO\n-DOCSTART- O\nb O";
        let expected = [("EU rejects", "B-ORG O"), ("À", "O"), ("b", "O")];
        assert_eq!(sentences(file), expected.map(|(text, labels)| (text.to_owned(), labels.to_owned())));
        assert!(sentences("").is_empty() && sentences("\n\n\n").is_empty());
    }

    #[test]
    fn a_word_between_tabs_may_hold_blanks_or_nothing() {
        let sentence = read("u R\tB-X\n\tI-X\nb\tO\n".as_bytes()).next().unwrap().unwrap();
        assert_eq!(sentence.words, ["u R", "", "b"]);
        assert_eq!(sentence.entities(Scheme::Iob), [Span { label: "X", range: 0..4 }]);
        assert_eq!(&sentence.text()[..4], "u R ");
    }

    #[test]
    fn a_bad_line_is_named_and_ends_the_file() {
        let mut lines = read("a O\n\nb O\nalone\nc O\n".as_bytes());
        assert!(lines.next().unwrap().is_ok());
        let error = lines.next().unwrap().unwrap_err();
        assert!(matches!(&error, Error::NoLabel { line: 4, found } if found == "alone"), "{error}");
        assert!(lines.next().is_none());
        let mut lines = read(&b"a O\n\xff O\n"[..]);
        assert!(matches!(lines.next(), Some(Err(Error::ReadLine { line: 2, .. }))));
        assert!(lines.next().is_none());
    }
}
