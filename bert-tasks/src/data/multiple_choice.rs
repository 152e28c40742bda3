//! Beginnings with several endings, one of which is right: SWAG, HellaSwag, tests of reading.
//!
//! ```
//! use bert_tasks::data::multiple_choice;
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("train.jsonl");
//! std::fs::write(&path, r#"{"question": "A cat says", "choices": ["moo.", "meow."], "label": 1}"#)?;
//! let example = multiple_choice::read(&path, None)?.next().unwrap()?;
//! assert_eq!((example.prompt.as_str(), example.choices[example.label].as_str()), ("A cat says", "meow."));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A table (CSV or TSV) has SWAG's columns: `sent1`, which is the prompt, `sent2`, which every ending continues,
//! `ending0` to `ending3`, `label`. An object of a JSONL file has `context` or `question`, `choices` or
//! `endings`, and `label`, or SWAG's fields. A label is the number of the choice counted from 0, or its letter.

use std::path::Path;

use serde_json::Value;

use super::error::Result;
use super::rows::{Reading, Row, Rows, Wanted};
use super::{Format, Place};

/// The names of the field with the prompt; the first that is there is read.
pub const PROMPT: &[&str] = &["sent1", "context", "question", "prompt", "ctx", "startphrase"];
/// The name of the field that every choice continues.
pub const START: &str = "sent2";
/// The names of the field with a list of choices.
pub const CHOICES: &[&str] = &["choices", "endings", "options"];

/// A prompt, the choices, and which one is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What the choices go with.
    pub prompt: String,
    /// At least two.
    pub choices: Vec<String>,
    /// The right one.
    pub label: usize,
    /// Where it stands.
    pub place: Place,
}

/// Reads a file whose format is given, or told by its name.
///
/// # Errors
/// A file that cannot be opened, or whose format is not known. What is wrong inside comes out as an item.
pub fn read(path: impl AsRef<Path>, format: Option<Format>) -> Result<Examples> {
    let path = path.as_ref();
    let json = format.or_else(|| Format::of(path)) == Some(Format::Jsonl);
    let list = Wanted {
        role: "choices",
        names: if json { CHOICES } else { &[] },
        given: None,
        otherwise: None,
        required: false,
    };
    let ending = |at: usize| Wanted {
        role: "ending",
        names: [&["ending0"][..], &["ending1"], &["ending2"], &["ending3"]][at],
        given: None,
        otherwise: None,
        required: !json,
    };
    let mut wanted = vec![
        Wanted::required("prompt", PROMPT, &None),
        Wanted::optional("start of the endings", &[START], &None),
        Wanted::required("label", &["label", "answer", "gold"], &None),
        list,
    ];
    wanted.extend((0..4).map(ending));
    let reading = Reading { format, header: (!json).then_some(true) };
    Ok(Examples { rows: Rows::open(path, &reading, wanted)? })
}

/// The examples of a file, one at a time; made by [`read`].
pub struct Examples {
    rows: Rows,
}

impl Iterator for Examples {
    type Item = Result<Example>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.rows.next()?.and_then(example))
    }
}

/// Where the fields stand in a row.
const START_AT: usize = 1;
const LABEL: usize = 2;
const LIST: usize = 3;
const ENDINGS: usize = 4;

fn example(mut row: Row) -> Result<Example> {
    let prompt = row.text(0, "prompt")?;
    let start = row.optional_text(START_AT, "start of the endings")?.unwrap_or_default();
    let mut choices = vec![];
    match row.value(LIST) {
        Some(Value::Array(list)) => {
            for choice in list {
                let text = choice.as_str().ok_or_else(|| row.wrong("choices", choice, "a list of texts"))?;
                choices.push(text.to_owned());
            }
        }
        Some(other) => return Err(row.wrong("choices", other, "a list of texts")),
        None => {
            for ending in ENDINGS..ENDINGS + 4 {
                choices.push(row.text(ending, "ending")?);
            }
        }
    }
    if choices.len() < 2 {
        let found = Value::from(choices.len());
        return Err(row.wrong("number of choices", &found, "at least 2"));
    }
    if !start.is_empty() {
        choices = choices.into_iter().map(|ending| format!("{start} {ending}")).collect();
    }
    let label = label(&row, choices.len())?;
    Ok(Example { prompt, choices, label, place: row.place })
}

fn label(row: &Row, choices: usize) -> Result<usize> {
    let value = row.value(LABEL).unwrap_or(&Value::Null);
    let index = match value {
        Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        Value::String(text) => match text.trim().as_bytes() {
            [letter] if letter.is_ascii_alphabetic() => Some(usize::from(letter.to_ascii_uppercase() - b'A')),
            _ => text.trim().parse().ok(),
        },
        _ => None,
    };
    index.filter(|&index| index < choices).ok_or_else(|| {
        row.wrong("label", value, format!("the number of a choice, 0 to {}, or its letter", choices - 1))
    })
}

#[cfg(test)]
mod tests {
    use super::super::DataError;
    use super::*;

    fn read_text(name: &str, text: &str) -> Result<Vec<Example>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path, None)?.collect()
    }

    #[test]
    fn swag() {
        let file = ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label\n\
            0,a,1,x,\"The band, loud,\",They,gold,play.,sit.,run.,eat.,2\n";
        let examples = read_text("train.csv", file).unwrap();
        assert_eq!(examples[0].prompt, "The band, loud,");
        assert_eq!(examples[0].choices, ["They play.", "They sit.", "They run.", "They eat."]);
        assert_eq!((examples[0].label, examples[0].place.line), (2, 2));
        let error = read_text("train.csv", "sent1,label\na,1\n").unwrap_err();
        assert!(matches!(&error, DataError::NoColumn { role: "ending", .. }), "{error}");
    }

    #[test]
    fn json_lines() {
        let file = r#"{"context": "c", "choices": ["a", "b", "c"], "label": "C"}
            {"ctx": "c", "endings": ["a", "b"], "label": "1", "ind": 4}
            {"sent1": "c", "sent2": "s", "ending0": "0", "ending1": "1", "ending2": "2", "ending3": "3", "label": 3}"#;
        let examples = read_text("train.jsonl", file).unwrap();
        assert_eq!(examples.iter().map(|example| example.label).collect::<Vec<_>>(), [2, 1, 3]);
        assert_eq!(examples[2].choices[3], "s 3");
        for (file, wrong) in [
            (r#"{"context": "c", "choices": ["a", "b"], "label": 2}"#, "0 to 1"),
            (r#"{"context": "c", "choices": ["a"], "label": 0}"#, "at least 2"),
            (r#"{"context": "c", "choices": "ab", "label": 0}"#, "a list"),
            (r#"{"context": "c", "choices": ["a", 1], "label": 0}"#, "a list"),
            (r#"{"context": "c", "choices": ["a", "b"]}"#, "label"),
            (r#"{"context": "c", "label": 0}"#, "ending"),
            (r#"["c"]"#, "JSON"),
        ] {
            let error = read_text("train.jsonl", file).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("train.jsonl:1: "), "{error}");
        }
    }
}
