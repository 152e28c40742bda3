//! What precision, recall and F1 are made of.

use serde::Serialize;

/// Numbers of things of one kind: of a label, of a type of entities, of all types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Those that there are.
    pub expected: usize,
    /// Those that were found.
    pub predicted: usize,
    /// Those that were found and are there.
    pub correct: usize,
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

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            expected: self.expected + other.expected,
            predicted: self.predicted + other.predicted,
            correct: self.correct + other.correct,
        }
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
