//! What a method of explanation says.

use std::fmt;

use serde::Serialize;

use super::page;
use super::{Faithfulness, Subject, Word};
use crate::Result;

/// How words were scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// By the change of the score when a word is masked.
    Occlusion,
    /// By the gradient along the way from masked words to the text.
    IntegratedGradients,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Occlusion => "occlusion",
            Self::IntegratedGradients => "integrated gradients",
        })
    }
}

/// Which words a score hangs on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The command of the task.
    pub task: &'static str,
    /// What the score is one of: a label, a word, an answer.
    pub target: String,
    /// How words were scored.
    pub method: Method,
    /// The score of the texts.
    pub score: f64,
    /// The score when all words are masked.
    pub baseline: f64,
    /// The texts.
    pub texts: Vec<String>,
    /// The words of all texts, in their order.
    pub words: Vec<WordScore>,
    /// With integrated gradients, by how much the sum of all scores misses the difference of `score` and `baseline`, which it
    /// should be: small beside it, or there were too few steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<f64>,
    /// Whether the score falls when the best words go, if that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faithfulness: Option<Faithfulness>,
}

/// A word and its part in the score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WordScore {
    /// Which text: 0 for the first or only one.
    pub text: usize,
    /// Its bytes in that text.
    pub range: std::ops::Range<usize>,
    /// What the text says there.
    pub word: String,
    /// By how much it raises the score of the subject; below 0 where it lowers it.
    pub score: f64,
}

impl Explanation {
    pub(super) fn new(
        subject: &Subject,
        method: Method,
        [score, baseline]: [f64; 2],
        scores: &[f64],
    ) -> Self {
        let word = |(word, &score): (&Word, &f64)| {
            let Word { text, range, word } = word.clone();
            WordScore { text, range, word, score }
        };
        Self {
            task: subject.task,
            target: subject.target.clone(),
            method,
            score,
            baseline,
            texts: subject.texts.clone(),
            words: subject.words.iter().zip(scores).map(word).collect(),
            gap: None,
            faithfulness: None,
        }
    }

    /// The same, with how faithful it is; see [`Faithfulness::measure`]. `subject` is the one that was explained.
    ///
    /// # Errors
    /// As [`Subject::score`].
    pub fn measured(self, subject: &Subject) -> Result<Self> {
        let scores: Vec<f64> = self.words.iter().map(|word| word.score).collect();
        Ok(Self { faithfulness: Some(Faithfulness::measure(subject, &scores)?), ..self })
    }

    /// The indices of the words, that which raises the score most first.
    pub fn ranking(&self) -> Vec<usize> {
        super::faithfulness::ranking(&self.words.iter().map(|word| word.score).collect::<Vec<_>>())
    }

    /// One HTML file with the texts, their words coloured by their scores. It loads nothing.
    pub fn to_html(&self) -> String {
        page::explanation(self)
    }
}
