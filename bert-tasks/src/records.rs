//! Records: what was asked together with the answer, as the command line prints it and [`AnyTask`](crate::AnyTask)
//! answers. Field names and their order are those of the JSON.
//!
//! Bytes are those of the UTF-8 text, scores are probabilities unless the answer says otherwise, and `truncated` are
//! the bytes of a text that the model did not see, if it was too long.
//!
//! ```
//! use bert_tasks::next_sentence::{NextSentenceAnswer, TextPair};
//! use bert_tasks::records::NextSentenceRecord;
//! let pair = TextPair { first: "a".to_owned(), second: "b".to_owned() };
//! let answer = NextSentenceAnswer { follows: true, is_next: 0.75, truncated: [None, None] };
//! let json = serde_json::to_string(&NextSentenceRecord { pair, answer })?;
//! assert_eq!(json, r#"{"first":"a","second":"b","follows":true,"is_next":0.75,"truncated":[null,null]}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::embedding::TextEmbedding;
use crate::explain::{WordInTexts, WordUses};
use crate::features::TextFeatures;
use crate::fill_mask::FilledText;
use crate::generation::{GeneratedTexts, Suggestions};
use crate::multiple_choice::{Choice, Choices};
use crate::next_sentence::{NextSentenceAnswer, TextPair};
use crate::question_answering::{Answer, Answers, Question};
use crate::similarity::SimilarityAnswer;
use crate::sparse_embedding::SparseVector;
use crate::text_classification::{Classification, Text};
use crate::token_classification::Entity;

/// A text and the words for its masks: `text`, `masks`, `truncated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FillMaskRecord {
    /// The text with its masks.
    pub text: String,
    /// What fills them.
    #[serde(flatten)]
    pub answer: FilledText,
}

/// An unfinished text and its next words: `text`, `suggestions`, `truncated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompletionRecord {
    /// The text.
    pub text: String,
    /// How it may go on.
    #[serde(flatten)]
    pub answer: Suggestions,
}

/// A prompt and the texts that begin with it: `prompt`, `texts`, `truncated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationRecord {
    /// The prompt.
    pub prompt: String,
    /// The texts.
    #[serde(flatten)]
    pub answer: GeneratedTexts,
}

/// Two texts and whether the second follows: `first`, `second`, `follows`, `is_next`, `truncated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextSentenceRecord {
    /// The texts.
    #[serde(flatten)]
    pub pair: TextPair,
    /// Whether the second follows.
    #[serde(flatten)]
    pub answer: NextSentenceAnswer,
}

/// A question and its answers in a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionAnsweringRecord {
    /// What was asked.
    pub question: String,
    /// The text that was searched. It is not written: it may be long, and many questions may share it.
    #[serde(skip)]
    pub context: String,
    /// Best first; empty if there is no answer.
    pub answers: Vec<Answer>,
    /// As in [`Answers`].
    pub no_answer_score: f32,
    /// As in [`Answers`].
    pub no_answer_odds: Option<f32>,
    /// The bytes of the question that the model did not see, if it was too long.
    pub truncated: Option<Range<usize>>,
}

impl QuestionAnsweringRecord {
    /// Puts a question and its answers together, without the `n_best` of the answers.
    pub fn new(question: Question, answers: Answers) -> Self {
        let Question { question, context } = question;
        let Answers { answers, no_answer_score, no_answer_odds, truncated, n_best: _ } = answers;
        Self { question, context, answers, no_answer_score, no_answer_odds, truncated }
    }
}

/// A text and its entities: `text`, `entities`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenClassificationRecord {
    /// The text.
    pub text: String,
    /// In the order of the text.
    pub entities: Vec<Entity>,
}

/// A text, or two, with labels: `text`, `pair` if there is one, `scores`, `truncated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextClassificationRecord {
    /// The text or the two.
    #[serde(flatten)]
    pub text: Text,
    /// Its labels.
    #[serde(flatten)]
    pub answer: Classification,
}

/// A prompt, its choices, and which is best: `prompt`, `choices`, `best`, `probabilities`, `truncated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MultipleChoiceRecord {
    /// The prompt and its choices.
    #[serde(flatten)]
    pub choices: Choices,
    /// How well each goes with the prompt.
    #[serde(flatten)]
    pub answer: Choice,
}

/// A text and its vector: `text`, `vector`, `truncated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingRecord {
    /// The text.
    pub text: String,
    /// Its vector.
    #[serde(flatten)]
    pub answer: TextEmbedding,
}

/// A text and its weighted words: `text`, `words`, `truncated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SparseEmbeddingRecord {
    /// The text.
    pub text: String,
    /// Its words.
    #[serde(flatten)]
    pub answer: SparseVector,
}

/// Two texts and how alike they are: `first`, `second`, `cosine`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimilarityRecord {
    /// The texts.
    #[serde(flatten)]
    pub pair: TextPair,
    /// How alike they are.
    #[serde(flatten)]
    pub answer: SimilarityAnswer,
}

/// A text and the hidden states of its tokens: `text`, `tokens`, `truncated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeaturesRecord {
    /// The text.
    pub text: String,
    /// Its tokens.
    #[serde(flatten)]
    pub answer: TextFeatures,
}

/// A word, the texts that use it, and how alike its uses are: `word`, `texts`, `layer`, `uses`, `cosines`, `limited`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolysemyRecord {
    /// The word and the texts.
    #[serde(flatten)]
    pub input: WordInTexts,
    /// The uses.
    #[serde(flatten)]
    pub answer: WordUses,
}
