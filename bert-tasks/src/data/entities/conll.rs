//! Labelled words in the form of the CoNLL shared tasks: a word and its label a line, a blank line between
//! sentences.
//!
//! ```
//! use bert_tasks::data::entities::conll::{self, Options};
//! use bert_tasks::token_classification::Scheme;
//! let file = "Sarah I-PER\nlives O\nin O\nParis I-LOC\n\nShe O\n";
//! let sentences = conll::read("train.conll", Box::new(file.as_bytes()), Options::default());
//! let sentences = sentences.collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(sentences.len(), 2);
//! let entities = sentences[0].entities(Scheme::Iob);
//! assert_eq!((entities[1].label, &sentences[0].text()[entities[1].range.clone()]), ("LOC", "Paris"));
//! # Ok::<(), bert_tasks::data::DataError>(())
//! ```
//!
//! Labels are kept as the file has them: IOB1, IOB2, BIOES or without prefixes. A
//! [`Scheme`] reads them.

use std::ops::Range;
use std::path::Path;

use super::super::Source;
use super::super::error::{DataError, Result, beginning};
use super::super::fuse::next_until_error;
use super::super::lines::Lines;
use crate::token_classification::{Scheme, Span};

/// How the file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether lines that begin with `#` are comments. In texts from social media they are words.
    pub comments: bool,
}

/// Words with one label each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence {
    /// The words. In files whose columns are separated by tabs, a word may hold blanks, or nothing.
    pub words: Vec<String>,
    /// As many labels, with their prefixes.
    pub labels: Vec<String>,
}

impl Sentence {
    /// The words, separated by single blanks.
    pub fn text(&self) -> String {
        self.words.join(" ")
    }

    /// Where each word stands in [`text`](Self::text), in bytes.
    pub fn ranges(&self) -> Vec<Range<usize>> {
        let mut start = 0;
        let range = |word: &String| {
            let range = start..start + word.len();
            start = range.end + 1;
            range
        };
        self.words.iter().map(range).collect()
    }

    /// The entities that the labels make, as bytes of [`text`](Self::text).
    pub fn entities(&self, scheme: Scheme) -> Vec<Span<'_>> {
        let ranges = self.ranges();
        let mut spans = scheme.spans(self.labels.iter().map(String::as_str));
        for span in &mut spans {
            span.range = ranges[span.range.start].start..ranges[span.range.end - 1].end;
        }
        spans
    }
}

/// Sentences of a file, one at a time; made by [`open`] and [`read`].
pub struct Sentences {
    /// Until the end.
    lines: Option<Lines>,
    options: Options,
    seen: Seen,
}

/// What tells a file of labelled words from any other table.
#[derive(Default)]
struct Seen {
    sentences: usize,
    words: usize,
    /// Whether a label is `O` or has a prefix.
    tag: bool,
}

impl Seen {
    fn add(&mut self, sentence: &Sentence) {
        let is_tag = |label: &String| {
            label == "O" || matches!(label.as_bytes(), [b'B' | b'I' | b'E' | b'S' | b'L' | b'U', b'-', _, ..])
        };
        self.sentences += 1;
        self.words += sentence.words.len();
        self.tag |= sentence.labels.iter().any(is_tag);
    }

    /// Whether nothing of the file looks like words with labels: no tag, and no blank line between sentences.
    fn is_other(&self) -> bool {
        self.sentences == 1 && self.words > 1 && !self.tag
    }
}

/// Opens a file.
///
/// # Errors
/// As [`crate::data::open`].
pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Sentences> {
    let path = path.as_ref();
    Ok(read(path, crate::data::open(path)?, options))
}

/// Reads sentences from what is open already; the name is for messages.
///
/// The word is the first column and the label the last; columns are separated by tabs, or by blanks in lines
/// without tabs. `-DOCSTART-` lines begin documents and count as blank.
///
/// An item is [`DataError::NoTag`] where a line has no label, and [`DataError::NotTagged`] at the end of a file that
/// has neither blank lines nor a label such as `O` or `B-PER`; nothing follows an error.
pub fn read(name: impl AsRef<Path>, source: Source, options: Options) -> Sentences {
    Sentences { lines: Some(Lines::new(name, source)), options, seen: Seen::default() }
}

/// The next sentence.
fn sentence(lines: &mut Lines, options: Options) -> Result<Option<Sentence>> {
    let mut sentence = Sentence::default();
    while let Some(line) = lines.next_line()? {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with("-DOCSTART-") {
            if !sentence.words.is_empty() {
                break;
            }
            continue;
        }
        if options.comments && line.starts_with('#') {
            continue;
        }
        let separator = if line.contains('\t') { '\t' } else { ' ' };
        let columns = line.split_once(separator).zip(line.rsplit_once(separator));
        let Some(((word, _), (_, label))) = columns else {
            let found = beginning(line);
            return Err(DataError::NoTag { place: lines.place().clone(), found });
        };
        sentence.words.push(word.trim().to_owned());
        sentence.labels.push(label.trim().to_owned());
    }
    Ok(Some(sentence).filter(|sentence| !sentence.words.is_empty()))
}

impl Iterator for Sentences {
    type Item = Result<Sentence>;

    fn next(&mut self) -> Option<Self::Item> {
        next_until_error(&mut self.lines, |lines| {
            let next = sentence(lines, self.options)?;
            match &next {
                Some(sentence) => self.seen.add(sentence),
                None if self.seen.is_other() => {
                    return Err(DataError::NotTagged { place: lines.place().clone() });
                }
                None => {}
            }
            Ok(next)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &'static [u8]) -> Sentences {
        read("file", Box::new(file), Options::default())
    }

    fn sentences(file: &'static str) -> Vec<(String, String)> {
        let sentences = of(file.as_bytes()).map(Result::unwrap);
        sentences.map(|sentence| (sentence.text(), sentence.labels.join(" "))).collect()
    }

    #[test]
    fn columns_blank_lines_and_documents() {
        let file = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\r\nrejects  VBZ B-VP  O\n\n \n\nÀ\tO\n-DOCSTART- O\nb O";
        let expected = [("EU rejects", "B-ORG O"), ("À", "O"), ("b", "O")];
        assert_eq!(sentences(file), expected.map(|(text, labels)| (text.to_owned(), labels.to_owned())));
        assert!(sentences("").is_empty() && sentences("\n\n\n").is_empty());
    }

    #[test]
    fn a_word_between_tabs_may_hold_blanks_or_nothing() {
        let sentence = of("u R\tB-X\n\tI-X\nb\tO\n".as_bytes()).next().unwrap().unwrap();
        assert_eq!(sentence.words, ["u R", "", "b"]);
        assert_eq!(sentence.entities(Scheme::Iob), [Span { label: "X", range: 0..4 }]);
        assert_eq!(&sentence.text()[..4], "u R ");
    }

    #[test]
    fn comments_are_words_unless_it_is_said() {
        let file = &b"# sent_id = 1\n#tag O\na O\n"[..];
        assert_eq!(of(file).next().unwrap().unwrap().words, ["#", "#tag", "a"]);
        let mut without = read("file", Box::new(file), Options { comments: true });
        assert_eq!(without.next().unwrap().unwrap().words, ["a"]);
    }

    #[test]
    fn a_table_of_other_things_is_told() {
        let mut rows = of(b"a fine film\tgood\na dull one\tbad\n");
        assert!(rows.next().unwrap().is_ok());
        let error = rows.next().unwrap().unwrap_err().to_string();
        assert!(error.starts_with("file") && error.contains("B-PER"), "{error}");
        assert!(rows.next().is_none());
        // Parts of speech have no `O`; their sentences end.
        assert!(of(b"a DET\nfilm NOUN\n\nit PRON\n").all(|sentence| sentence.is_ok()));
        assert!(of(b"Oslo LOC\nis O\n").all(|sentence| sentence.is_ok()));
    }

    #[test]
    fn a_bad_line_is_named_and_ends_the_file() {
        let mut lines = of(b"a O\n\nb O\nalone\nc O\n");
        assert!(lines.next().unwrap().is_ok());
        let error = lines.next().unwrap().unwrap_err();
        assert!(error.to_string().starts_with("file:4: ") && error.to_string().contains("alone"), "{error}");
        assert!(lines.next().is_none());
        let mut lines = of(b"a O\n\xff O\n");
        assert!(matches!(lines.next(), Some(Err(DataError::NotText { place, .. })) if place.line == 2));
        assert!(lines.next().is_none());
    }
}
