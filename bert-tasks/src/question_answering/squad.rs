//! SQuAD: its data set as questions for a model, and its scores. [`crate::data::squad`] reads the files,
//! [`crate::evaluation`] has the scores.
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

use super::Question;
pub use crate::data::squad::{Article, Dataset, GoldAnswer, Paragraph, Qa};
pub use crate::evaluation::metrics::squad::{
    BestThreshold, BestThresholds, Evaluation, Scores, best_thresholds, evaluate, exact_match, f1,
    normalise_answer, with_threshold,
};

impl Dataset {
    /// All questions in the order of the file, each with its paragraph.
    pub fn questions(&self) -> impl Iterator<Item = (&Qa, Question)> + '_ {
        self.paragraphs().flat_map(|paragraph| {
            paragraph.qas.iter().map(|qa| {
                let question = qa.question.clone();
                (qa, Question { question, context: paragraph.context.clone() })
            })
        })
    }
}
