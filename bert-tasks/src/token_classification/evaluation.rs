//! How well entities are found: precision, recall and F1 of whole entities, as `conlleval` and seqeval
//! count them. An entity is right if its type and both of its ends are.
//!
//! ```
//! use bert_tasks::token_classification::{Evaluation, Scheme};
//! let mut evaluation = Evaluation::default();
//! let expected = Scheme::Iob.spans(["B-PER", "I-PER", "O", "B-LOC"]);
//! let predicted = Scheme::Iob.spans(["B-PER", "O", "O", "B-LOC"]);
//! evaluation.add(&expected, &predicted);
//! assert_eq!(evaluation.total().f1(), 0.5);
//! assert_eq!(evaluation.by_label["LOC"].f1(), 1.0);
//! ```

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::Span;

/// What was counted so far, over any number of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// By type, in alphabetical order.
    pub by_label: BTreeMap<String, Counts>,
}

/// Numbers of entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Those that there are.
    pub expected: usize,
    /// Those that were found.
    pub predicted: usize,
    /// Those that were found and are there.
    pub correct: usize,
}

impl Evaluation {
    /// Counts the entities of one text. Ranges may be bytes, tokens or words, in both alike; entities of one
    /// text do not overlap.
    pub fn add(&mut self, expected: &[Span<'_>], predicted: &[Span<'_>]) {
        for span in expected {
            self.of(span.label).expected += 1;
        }
        let expected: HashSet<_> = expected.iter().collect();
        for span in predicted {
            let counts = self.of(span.label);
            counts.predicted += 1;
            counts.correct += usize::from(expected.contains(span));
        }
    }

    fn of(&mut self, label: &str) -> &mut Counts {
        if !self.by_label.contains_key(label) {
            self.by_label.insert(label.to_owned(), Counts::default());
        }
        self.by_label.get_mut(label).expect("it was just inserted")
    }

    /// All types together (the micro average).
    pub fn total(&self) -> Counts {
        self.by_label.values().fold(Counts::default(), |total, counts| Counts {
            expected: total.expected + counts.expected,
            predicted: total.predicted + counts.predicted,
            correct: total.correct + counts.correct,
        })
    }
}

impl Counts {
    /// Which part of what was found is right; 0 if nothing was found.
    pub fn precision(&self) -> f64 {
        ratio(self.correct, self.predicted)
    }

    /// Which part of what is there was found; 0 if nothing is there.
    pub fn recall(&self) -> f64 {
        ratio(self.correct, self.expected)
    }

    /// The harmonic mean of the two; 0 if nothing was found right.
    pub fn f1(&self) -> f64 {
        ratio(2 * self.correct, self.expected + self.predicted)
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
