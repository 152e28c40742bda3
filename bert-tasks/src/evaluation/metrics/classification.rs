//! How well labels are given: accuracy, precision, recall, F1 and Matthews' correlation, as scikit-learn has them.
//!
//! ```
//! use bert_tasks::evaluation::metrics::classification::Confusion;
//! let mut confusion = Confusion::new(2);
//! for (gold, answer) in [(1, 1), (1, 1), (1, 0), (0, 0)] {
//!     confusion.add(gold, answer);
//! }
//! assert_eq!(confusion.accuracy(), 0.75);
//! assert_eq!(confusion.label(1).f1(), 0.8);
//! ```

use super::Counts;
use crate::evaluation::Measure;

/// How often each label was answered where each label is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    labels: usize,
    /// `[gold, answer]`, row by row.
    counts: Vec<usize>,
}

impl Confusion {
    /// Nothing so far, over labels that are numbered from 0.
    pub fn new(labels: usize) -> Self {
        Self { labels, counts: vec![0; labels * labels] }
    }

    /// Counts an answer.
    ///
    /// # Panics
    /// If a label is not below the number of labels.
    pub fn add(&mut self, gold: usize, answer: usize) {
        assert!(gold < self.labels && answer < self.labels, "labels are numbered from 0");
        self.counts[gold * self.labels + answer] += 1;
    }

    /// How many answers were counted.
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// How often one label was answered where another, or the same, is right.
    pub fn count(&self, gold: usize, answer: usize) -> usize {
        self.counts[gold * self.labels + answer]
    }

    /// The counts of one label.
    pub fn label(&self, label: usize) -> Counts {
        let all = 0..self.labels;
        Counts {
            expected: all.clone().map(|answer| self.count(label, answer)).sum(),
            predicted: all.map(|gold| self.count(gold, label)).sum(),
            correct: self.count(label, label),
        }
    }

    fn correct(&self) -> usize {
        (0..self.labels).map(|label| self.count(label, label)).sum()
    }

    /// The share of right answers; NaN of none.
    pub fn accuracy(&self) -> f64 {
        self.correct() as f64 / self.total() as f64
    }

    /// The mean of F1 over the labels that are right or were answered at least once; NaN if there are none.
    pub fn macro_f1(&self) -> f64 {
        let labels = (0..self.labels).map(|label| self.label(label));
        mean(labels.filter(|counts| counts.expected + counts.predicted > 0).map(|counts| counts.f1()))
    }

    /// Matthews' correlation coefficient, for any number of labels; 0 where all answers, or all right labels, are
    /// the same. Source: Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient"
    /// (2004).
    pub fn matthews(&self) -> f64 {
        let total = self.total() as f64;
        let (mut gold_answer, mut gold_gold, mut answer_answer) =
            (self.correct() as f64 * total, total * total, total * total);
        for label in 0..self.labels {
            let Counts { expected, predicted, .. } = self.label(label);
            let (expected, predicted) = (expected as f64, predicted as f64);
            gold_answer -= expected * predicted;
            gold_gold -= expected * expected;
            answer_answer -= predicted * predicted;
        }
        let scale = gold_gold * answer_answer;
        if scale == 0.0 { 0.0 } else { gold_answer / scale.sqrt() }
    }
}

/// How well any number of labels a text are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSets {
    /// For each label.
    labels: Vec<Counts>,
    texts: usize,
    exact: usize,
}

impl LabelSets {
    /// Nothing so far, over labels that are numbered from 0.
    pub fn new(labels: usize) -> Self {
        Self { labels: vec![Counts::default(); labels], texts: 0, exact: 0 }
    }

    /// Counts the labels of a text, each list without repetitions.
    ///
    /// # Panics
    /// If a label is not below the number of labels.
    pub fn add(&mut self, gold: &[u32], answer: &[u32]) {
        for &label in gold {
            self.labels[label as usize].expected += 1;
        }
        let mut correct = 0;
        for &label in answer {
            let counts = &mut self.labels[label as usize];
            let right = gold.contains(&label);
            counts.predicted += 1;
            counts.correct += usize::from(right);
            correct += usize::from(right);
        }
        self.texts += 1;
        self.exact += usize::from(correct == gold.len() && correct == answer.len());
    }

    /// The counts of one label.
    pub fn label(&self, label: usize) -> Counts {
        self.labels[label]
    }

    /// The share of texts whose labels are all right; NaN of none.
    pub fn exact(&self) -> f64 {
        self.exact as f64 / self.texts as f64
    }

    /// F1 over all labels of all texts.
    pub fn micro_f1(&self) -> f64 {
        self.labels.iter().fold(Counts::default(), |all, &counts| all.plus(counts)).f1()
    }

    /// The mean of F1 over all labels, those that nobody uses among them; NaN if there are none.
    pub fn macro_f1(&self) -> f64 {
        mean(self.labels.iter().map(Counts::f1))
    }
}

/// A figure of one label a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassFigure {
    /// `accuracy`
    Accuracy,
    /// `macro_f1`
    MacroF1,
    /// `matthews_correlation`
    Matthews,
    /// `f1`, of one label that is the one to be found.
    F1(usize),
    /// `precision[…]`, `recall[…]` and `f1[…]` of one label.
    Label(usize),
}

/// Figures of one label a text; an observation is the number of the right one and that of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassFigures {
    /// The labels, by their numbers.
    pub names: Vec<String>,
    /// Which figures.
    pub figures: Vec<ClassFigure>,
}

impl Measure for ClassFigures {
    type Observation = [u32; 2];

    fn names(&self) -> Vec<String> {
        let names = self.figures.iter().flat_map(|figure| match figure {
            ClassFigure::Accuracy => vec!["accuracy".to_owned()],
            ClassFigure::MacroF1 => vec!["macro_f1".to_owned()],
            ClassFigure::Matthews => vec!["matthews_correlation".to_owned()],
            ClassFigure::F1(_) => vec!["f1".to_owned()],
            ClassFigure::Label(label) => of_label(&self.names[*label]),
        });
        names.collect()
    }

    fn values(&self, sample: &[&[u32; 2]]) -> Vec<f64> {
        let mut confusion = Confusion::new(self.names.len());
        sample.iter().for_each(|&&[gold, answer]| confusion.add(gold as usize, answer as usize));
        let values = self.figures.iter().flat_map(|figure| match figure {
            ClassFigure::Accuracy => vec![confusion.accuracy()],
            ClassFigure::MacroF1 => vec![confusion.macro_f1()],
            ClassFigure::Matthews => vec![confusion.matthews()],
            ClassFigure::F1(label) => vec![confusion.label(*label).f1()],
            ClassFigure::Label(label) => values_of(confusion.label(*label)),
        });
        values.collect()
    }
}

/// Figures of any number of labels a text; an observation is the numbers of the right ones and those of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSetFigures {
    /// The labels, by their numbers.
    pub names: Vec<String>,
}

impl Measure for LabelSetFigures {
    type Observation = [Box<[u32]>; 2];

    fn names(&self) -> Vec<String> {
        let overall = ["accuracy", "micro_f1", "macro_f1"].map(str::to_owned);
        overall.into_iter().chain(self.names.iter().flat_map(|name| of_label(name))).collect()
    }

    fn values(&self, sample: &[&[Box<[u32]>; 2]]) -> Vec<f64> {
        let mut sets = LabelSets::new(self.names.len());
        sample.iter().for_each(|[gold, answer]| sets.add(gold, answer));
        let mut values = vec![sets.exact(), sets.micro_f1(), sets.macro_f1()];
        values.extend((0..self.names.len()).flat_map(|label| values_of(sets.label(label))));
        values
    }
}

fn of_label(name: &str) -> Vec<String> {
    ["precision", "recall", "f1"].map(|figure| format!("{figure}[{name}]")).to_vec()
}

fn values_of(counts: Counts) -> Vec<f64> {
    vec![counts.precision(), counts.recall(), counts.f1()]
}

/// NaN of nothing.
fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = numbers.fold((0.0, 0), |(sum, count), number| (sum + number, count + 1));
    sum / f64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_variety_there_is_no_correlation() {
        let mut confusion = Confusion::new(2);
        assert!(confusion.accuracy().is_nan() && confusion.macro_f1().is_nan());
        assert_eq!(confusion.matthews(), 0.0);
        for gold in [0, 0, 1] {
            confusion.add(gold, 0);
        }
        assert_eq!((confusion.matthews(), confusion.label(1).f1()), (0.0, 0.0));
    }

    #[test]
    fn sets_are_right_as_a_whole_or_not() {
        let mut sets = LabelSets::new(3);
        sets.add(&[0, 2], &[2, 0]);
        sets.add(&[], &[]);
        sets.add(&[1], &[]);
        sets.add(&[1], &[1, 2]);
        assert_eq!(sets.exact(), 0.5);
        assert_eq!(sets.label(2), Counts { expected: 1, predicted: 2, correct: 1 });
        assert_eq!(sets.micro_f1(), 2.0 * 3.0 / (4.0 + 4.0));
    }
}
