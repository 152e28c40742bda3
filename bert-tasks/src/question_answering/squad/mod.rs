//! SQuAD: the data sets' files, and how answers are scored.
//!
//! ```
//! use std::collections::HashMap;
//! use bert_tasks::question_answering::squad::{Dataset, evaluate};
//!
//! let dataset = Dataset::from_json(r#"{"version": "1.1", "data": [{"title": "Rivers", "paragraphs": [{
//!     "context": "The Seine flows through Paris.",
//!     "qas": [{"id": "1", "question": "Where?", "answers": [{"text": "Paris", "answer_start": 24}]}]
//! }]}]}"#)?;
//! let mut predictions = HashMap::new();
//! for (qa, question) in dataset.questions() {
//!     // With a model: task.stream(...), in the same order.
//!     assert_eq!(qa.answers[0].range(&question.context), Some(24..29));
//!     predictions.insert(qa.id.clone(), "in Paris".to_owned());
//! }
//! let evaluation = evaluate(&dataset, &predictions);
//! assert_eq!((evaluation.all.exact, evaluation.all.f1.round()), (0.0, 67.0));
//! # Ok::<(), bert_tasks::Error>(())
//! ```

mod evaluation;

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

pub use evaluation::{
    BestThreshold, BestThresholds, Evaluation, Scores, best_thresholds, evaluate, exact_match, f1,
    normalise_answer, with_threshold,
};

use super::Question;
use crate::{Error, Result};

/// A file in the format of SQuAD 1.1 or 2.0.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Dataset {
    /// Such as `1.1` or `v2.0`.
    pub version: Option<String>,
    /// The articles.
    pub data: Vec<Article>,
}

/// An article of an encyclopedia.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Article {
    /// What it is about.
    #[serde(default)]
    pub title: String,
    /// Its paragraphs.
    pub paragraphs: Vec<Paragraph>,
}

/// A paragraph with questions about it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Paragraph {
    /// The text that is asked about.
    pub context: String,
    /// The questions.
    pub qas: Vec<Qa>,
}

/// A question with the answers that people gave.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GoldAnswer {
    /// What was marked.
    pub text: String,
    /// Where it begins, in chars.
    pub answer_start: usize,
}

impl GoldAnswer {
    /// Its bytes in the paragraph; `None` if the paragraph does not say it there.
    pub fn range(&self, context: &str) -> Option<Range<usize>> {
        let mut starts = context.char_indices().map(|(at, _)| at).chain([context.len()]);
        let start = starts.nth(self.answer_start)?;
        context[start..].starts_with(&self.text).then(|| start..start + self.text.len())
    }
}

impl Dataset {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::ReadFile`] if it cannot be read, [`Error::Json`] if it does not hold a data set.
    pub fn open(path: &Path) -> Result<Self> {
        let json = std::fs::read_to_string(path)
            .map_err(|source| Error::ReadFile { path: path.to_owned(), source })?;
        serde_json::from_str(&json).map_err(|source| Error::Json { file: path.display().to_string(), source })
    }

    /// Reads the contents of a file.
    ///
    /// # Errors
    /// [`Error::Json`] if it does not hold a data set.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|source| Error::Json { file: "the data set".into(), source })
    }

    /// All questions in the order of the file, each with its paragraph.
    pub fn questions(&self) -> impl Iterator<Item = (&Qa, Question)> + '_ {
        self.paragraphs().flat_map(|paragraph| {
            paragraph.qas.iter().map(|qa| {
                let question = qa.question.clone();
                (qa, Question { question, context: paragraph.context.clone() })
            })
        })
    }

    fn paragraphs(&self) -> impl Iterator<Item = &Paragraph> + '_ {
        self.data.iter().flat_map(|article| &article.paragraphs)
    }

    fn qas(&self) -> impl Iterator<Item = &Qa> + '_ {
        self.paragraphs().flat_map(|paragraph| &paragraph.qas)
    }
}
