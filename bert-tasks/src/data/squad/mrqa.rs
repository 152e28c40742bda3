//! The JSON lines of MRQA: a paragraph with its questions a line, after a line that describes the file.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

use super::super::Place;
use super::super::error::{DataError, Result};
use super::super::fuse::next_until_error;
use super::super::lines::Lines;
use super::{GoldAnswer, Paragraph, Qa};

#[derive(Deserialize)]
struct Line {
    /// In the first line, instead of the rest.
    #[serde(default)]
    header: Option<serde_json::Value>,
    #[serde(default)]
    context: String,
    #[serde(default)]
    qas: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    #[serde(alias = "id")]
    qid: String,
    question: String,
    #[serde(default)]
    detected_answers: Vec<Detected>,
}

#[derive(Deserialize)]
struct Detected {
    text: String,
    /// First and last char of each place, both included.
    char_spans: Vec<[usize; 2]>,
}

/// The paragraphs of a file with the form of MRQA, one at a time, in that of SQuAD. Their answers are checked.
///
/// ```
/// use bert_tasks::data::squad::read_mrqa;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("dev.jsonl");
/// let qas = r#"[{"qid": "1", "question": "Where?", "detected_answers": [{"text": "lake", "char_spans": [[2, 5]]}]}]"#;
/// std::fs::write(&path, format!("{{\"header\": {{}}}}\n{{\"context\": \"a lake\", \"qas\": {qas}}}\n"))?;
/// let paragraph = read_mrqa(&path)?.next().unwrap()?;
/// assert_eq!(paragraph.qas[0].answers[0].range(&paragraph.context), Some(2..6));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A file that cannot be opened. What is wrong inside comes out as an item.
pub fn read_mrqa(path: impl AsRef<Path>) -> Result<Questions> {
    Ok(Questions { lines: Some(Lines::open(path)?) })
}

/// Paragraphs with their questions, one at a time; made by [`read_mrqa`].
pub struct Questions {
    /// Until the end.
    lines: Option<Lines>,
}

impl Iterator for Questions {
    type Item = Result<Paragraph>;

    fn next(&mut self) -> Option<Self::Item> {
        next_until_error(&mut self.lines, paragraph)
    }
}

fn paragraph(lines: &mut Lines) -> Result<Option<Paragraph>> {
    loop {
        let Some(line) = lines.next_line()? else { return Ok(None) };
        if line.trim().is_empty() {
            continue;
        }
        let line = serde_json::from_str::<Line>(line);
        let place = lines.place();
        let line = line.map_err(|source| DataError::Json { place: place.clone(), source })?;
        if line.header.is_none() {
            let Line { context, qas, .. } = line;
            let qas = qas.into_iter().map(|question| qa(&context, question, place));
            let qas = qas.collect::<Result<_>>()?;
            return Ok(Some(Paragraph { context, qas }));
        }
    }
}

fn qa(context: &str, question: Question, place: &Place) -> Result<Qa> {
    let Question { qid: id, question, detected_answers } = question;
    let mut answers = vec![];
    for Detected { text, char_spans } in detected_answers {
        for [start, last] in char_spans {
            // The text may be normalised; the place counts.
            let found = bytes(context, start, last).map(|range| context[range].to_owned());
            let answer_start = i64::try_from(start).unwrap_or(i64::MAX);
            let gold = GoldAnswer { text: found.unwrap_or_else(|| text.clone()), answer_start };
            gold.checked(context, &id, place)?;
            answers.push(gold);
        }
    }
    Ok(Qa { id, question, answers, is_impossible: false })
}

/// The bytes from one char to another, both included.
fn bytes(context: &str, start: usize, last: usize) -> Option<Range<usize>> {
    let count = last.checked_sub(start)?;
    let mut chars = context.char_indices();
    let (from, first) = chars.nth(start)?;
    let (at, char) = match count {
        0 => (from, first),
        _ => chars.nth(count - 1)?,
    };
    Some(from..at + char.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &'static str) -> Result<Vec<Paragraph>> {
        Questions { lines: Some(Lines::new("x.jsonl", Box::new(file.as_bytes()))) }.collect()
    }

    #[test]
    fn places_are_chars_and_both_ends_are_in() {
        let paragraphs = read(
            r#"{"header": {"dataset": "x"}}

            {"context": "Éva naît à Ulm.", "qas": [{"id": "1", "question": "q", "detected_answers": [{"text": "ULM", "char_spans": [[11, 13], [0, 0]]}]}]}"#,
        )
        .unwrap();
        let answers = &paragraphs[0].qas[0].answers;
        assert_eq!(answers[0], GoldAnswer { text: "Ulm".into(), answer_start: 11 });
        assert_eq!(answers[1], GoldAnswer { text: "É".into(), answer_start: 0 });
        for spans in ["[[11, 99]]", "[[3, 2]]", "[[99, 99]]"] {
            let file = format!(
                r#"{{"context": "Ulm", "qas": [{{"qid": "1", "question": "q", "detected_answers": [{{"text": "x", "char_spans": {spans}}}]}}]}}"#
            );
            let error = read(Box::leak(file.into_boxed_str())).unwrap_err();
            assert!(matches!(&error, DataError::Answer { place, .. } if place.line == 1), "{error}");
        }
        assert!(matches!(read("{\"context\": 1}"), Err(DataError::Json { .. })));
    }
}
