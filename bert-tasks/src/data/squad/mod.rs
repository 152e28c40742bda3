//! Questions about texts, with the places of their answers: SQuAD 1.1 and 2.0 (and all that have their form),
//! and the JSON lines of MRQA.
//!
//! ```
//! use bert_tasks::data::squad::Dataset;
//! let dataset = Dataset::from_json(r#"{"version": "1.1", "data": [{"title": "Zürich", "paragraphs": [{
//!     "context": "Zürich lies on a lake.",
//!     "qas": [{"id": "1", "question": "Where?", "answers": [{"text": "a lake", "answer_start": 15}]}]
//! }]}]}"#)?;
//! for example in dataset.examples() {
//!     let example = example?;
//!     assert_eq!(example.answers, [16..22]); // bytes; the file counts chars
//!     assert_eq!(&example.context[16..22], "a lake");
//! }
//! # Ok::<(), bert_tasks::data::DataError>(())
//! ```

mod mrqa;

use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Place;
use super::error::{DataError, Result, beginning};
use super::open::read_to_string;
pub use mrqa::{Questions, read_mrqa};

/// A file in the format of SQuAD 1.1 or 2.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Such as `1.1` or `v2.0`.
    pub version: Option<String>,
    /// The articles.
    pub data: Vec<Article>,
    /// The file, for messages.
    #[serde(skip, default = "unnamed")]
    place: Place,
}

/// An article of an encyclopedia.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Article {
    /// What it is about.
    #[serde(default)]
    pub title: String,
    /// Its paragraphs.
    pub paragraphs: Vec<Paragraph>,
}

/// A paragraph with questions about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paragraph {
    /// The text that is asked about.
    pub context: String,
    /// The questions.
    pub qas: Vec<Qa>,
}

/// A question with the answers that people gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qa {
    /// What predictions are filed under.
    pub id: String,
    /// What is asked.
    pub question: String,
    /// None if the paragraph does not answer it, or if the answers are kept secret.
    #[serde(default)]
    pub answers: Vec<GoldAnswer>,
    /// Whether it was written so that the paragraph does not answer it. Only in SQuAD 2.0.
    #[serde(default)]
    pub is_impossible: bool,
}

/// An answer that someone marked in the paragraph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoldAnswer {
    /// What was marked.
    pub text: String,
    /// Where it begins, in chars. Some files have -1 for answers that were not found; they have no
    /// [`range`](Self::range).
    pub answer_start: i64,
}

/// A question to train on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example<'a> {
    /// What predictions are filed under.
    pub id: &'a str,
    /// What is asked.
    pub question: &'a str,
    /// The text that is asked about.
    pub context: &'a str,
    /// The bytes of each answer in the context. None: the context does not answer the question.
    pub answers: Vec<Range<usize>>,
}

impl GoldAnswer {
    /// Its bytes in the paragraph; `None` if the paragraph does not say it there.
    pub fn range(&self, context: &str) -> Option<Range<usize>> {
        let mut starts = context.char_indices().map(|(at, _)| at).chain([context.len()]);
        let start = starts.nth(usize::try_from(self.answer_start).ok()?)?;
        context[start..].starts_with(&self.text).then(|| start..start + self.text.len())
    }

    /// The same, checked.
    fn checked(&self, context: &str, id: &str, place: &Place) -> Result<Range<usize>> {
        if self.text.is_empty() {
            let reason = "it has an empty answer";
            return Err(DataError::Question { place: place.clone(), id: id.to_owned(), reason });
        }
        self.range(context).ok_or_else(|| DataError::Answer {
            place: place.clone(),
            id: id.to_owned(),
            text: beginning(&self.text),
            start: self.answer_start,
            found: self.instead(context),
        })
    }

    /// What stands in its place, for messages.
    fn instead(&self, context: &str) -> String {
        let start = usize::try_from(self.answer_start).unwrap_or(usize::MAX);
        context.chars().skip(start).take(self.text.chars().count().min(60)).collect()
    }
}

impl Dataset {
    /// Reads a file, which may be compressed.
    ///
    /// # Errors
    /// A file that cannot be opened or read, or that does not hold a data set. Answers are not looked at.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::parse(&read_to_string(path)?, Place::of(path))
    }

    /// Reads the contents of a file.
    ///
    /// # Errors
    /// [`DataError::Json`] if it does not hold a data set.
    pub fn from_json(json: &str) -> Result<Self> {
        Self::parse(json, unnamed())
    }

    /// Paragraphs without articles, such as those of [`read_mrqa`]; the name of the file is for messages.
    pub fn of_paragraphs(file: impl AsRef<Path>, paragraphs: Vec<Paragraph>) -> Self {
        let article = Article { title: String::new(), paragraphs };
        Self { version: None, data: vec![article], place: Place::of(file) }
    }

    fn parse(json: &str, place: Place) -> Result<Self> {
        match serde_json::from_str::<Self>(json) {
            Ok(dataset) => Ok(Self { place, ..dataset }),
            Err(source) => Err(DataError::Json { place, source }),
        }
    }

    /// All questions to train on, in the order of the file, their answers checked.
    ///
    /// An item is [`DataError::Answer`] if the context does not say an answer where it is said to, and
    /// [`DataError::Question`] if an answer is empty, or a question has one and is said to have none. The others
    /// follow all the same.
    pub fn examples(&self) -> impl Iterator<Item = Result<Example<'_>>> + '_ {
        let of = |paragraph, qa| example(paragraph, qa, &self.place);
        self.paragraphs().flat_map(move |paragraph| paragraph.qas.iter().map(move |qa| of(paragraph, qa)))
    }

    /// All paragraphs, in the order of the file.
    pub fn paragraphs(&self) -> impl Iterator<Item = &Paragraph> + '_ {
        self.data.iter().flat_map(|article| &article.paragraphs)
    }

    /// All questions with all that people answered, in the order of the file.
    pub fn qas(&self) -> impl Iterator<Item = &Qa> + '_ {
        self.paragraphs().flat_map(|paragraph| &paragraph.qas)
    }
}

fn unnamed() -> Place {
    Place::of("the data set")
}

fn example<'a>(paragraph: &'a Paragraph, qa: &'a Qa, place: &Place) -> Result<Example<'a>> {
    let (id, context) = (qa.id.as_str(), paragraph.context.as_str());
    if qa.is_impossible && !qa.answers.is_empty() {
        let reason = "it is marked as impossible but has an answer";
        return Err(DataError::Question { place: place.clone(), id: qa.id.clone(), reason });
    }
    let answers = qa.answers.iter().map(|answer| answer.checked(context, id, place));
    Ok(Example { id, question: &qa.question, context, answers: answers.collect::<Result<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(qas: &str) -> Dataset {
        let json =
            format!(r#"{{"data": [{{"paragraphs": [{{"context": "Éva naît à Ulm.", "qas": [{qas}]}}]}}]}}"#);
        Dataset::from_json(&json).unwrap()
    }

    #[test]
    fn answers_are_checked_one_by_one() {
        let dataset = dataset(
            r#"{"id": "1", "question": "q", "answers": [{"text": "Ulm", "answer_start": 11}, {"text": "à Ulm", "answer_start": 9}]},
            {"id": "2", "question": "q", "answers": [{"text": "Ulm", "answer_start": 12}]},
            {"id": "3", "question": "q", "answers": [{"text": "Ulm.x", "answer_start": -1}]},
            {"id": "4", "question": "q", "answers": [{"text": "Ulm", "answer_start": 99999999999}]},
            {"id": "5", "question": "q", "answers": [{"text": "", "answer_start": -1}]},
            {"id": "6", "question": "q", "answers": [{"text": "Ulm", "answer_start": 11}], "is_impossible": true},
            {"id": "7", "question": "q", "answers": [], "is_impossible": true, "plausible_answers": []}"#,
        );
        let examples: Vec<_> = dataset.examples().collect();
        assert_eq!(examples.len(), 7);
        assert_eq!(examples[0].as_ref().unwrap().answers, [14..17, 11..17]);
        assert!(examples[6].as_ref().unwrap().answers.is_empty());
        for example in &examples[1..4] {
            assert!(matches!(example, Err(DataError::Answer { .. })), "{example:?}");
        }
        let error = examples[1].as_ref().unwrap_err().to_string();
        assert!(error.contains("\"2\"") && error.contains("\"Ulm\"") && error.contains("\"lm.\""), "{error}");
        for (at, reason) in [(4, "empty"), (5, "impossible")] {
            let error = examples[at].as_ref().unwrap_err().to_string();
            assert!(
                error.contains(reason) && error.contains(&format!("{:?}", (at + 1).to_string())),
                "{error}"
            );
        }
    }
}
