//! How well entities are found: precision, recall and F1 of whole entities, as `conlleval` and seqeval
//! count them. An entity is right if its type and both of its ends are.
//!
//! Labels become entities in one of two ways: [`Scheme::spans`](crate::token_classification::Scheme::spans) is lenient
//! (an `I-` after nothing begins an entity), as `conlleval` and seqeval's default are; [`strict_iob2`] is seqeval's
//! strict mode, where only `B-` begins one.
//!
//! ```
//! use bert_tasks::evaluation::metrics::entities::Evaluation;
//! use bert_tasks::token_classification::Scheme;
//! let mut evaluation = Evaluation::default();
//! let expected = Scheme::Iob.spans(["B-PER", "I-PER", "O", "B-LOC"]);
//! let predicted = Scheme::Iob.spans(["B-PER", "O", "O", "B-LOC"]);
//! evaluation.add(&expected, &predicted);
//! assert_eq!(evaluation.total().f1(), 0.5);
//! assert_eq!(evaluation.by_label["LOC"].f1(), 1.0);
//! ```

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::Counts;
use crate::evaluation::Measure;
use crate::token_classification::Span;

/// What was counted so far, over any number of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// By type, in alphabetical order.
    pub by_label: BTreeMap<String, Counts>,
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
        self.by_label.values().fold(Counts::default(), |total, &counts| total.plus(counts))
    }
}

/// The entities that IOB2 labels make by its own rules: `B-` begins one, `I-` of the same type continues it, and an
/// `I-` that follows nothing of its type is none. Other labels belong to no entity.
///
/// ```
/// use bert_tasks::evaluation::metrics::entities::strict_iob2;
/// use bert_tasks::token_classification::Span;
/// let spans = strict_iob2(["B-PER", "I-PER", "I-LOC", "O", "I-PER"]);
/// assert_eq!(spans, [Span { label: "PER", range: 0..2 }]);
/// ```
pub fn strict_iob2<'a>(labels: impl IntoIterator<Item = &'a str>) -> Vec<Span<'a>> {
    let mut spans: Vec<Span<'a>> = vec![];
    let mut open = false;
    for (at, label) in labels.into_iter().enumerate() {
        let (prefix, kind) = label.split_once('-').unwrap_or((label, ""));
        match (prefix, spans.last_mut()) {
            ("B", _) => {
                spans.push(Span { label: kind, range: at..at + 1 });
                open = true;
            }
            ("I", Some(span)) if open && span.label == kind => span.range.end = at + 1,
            _ => open = false,
        }
    }
    spans
}

/// What was counted in one text, for each type that occurs in it: by the number of the type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextCounts {
    /// With labels read leniently.
    pub lenient: Vec<(u32, Counts)>,
    /// With labels read strictly.
    pub strict: Vec<(u32, Counts)>,
}

/// Precision, recall and F1 of entities, overall and by type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityFigures {
    /// The types, by their numbers.
    pub types: Vec<String>,
    /// Whether labels are read strictly as well as leniently.
    pub strict: bool,
}

impl EntityFigures {
    /// The number of a type, which is a new one if it was not seen before.
    pub fn number(&mut self, kind: &str) -> u32 {
        let at = self.types.iter().position(|known| known == kind).unwrap_or_else(|| {
            self.types.push(kind.to_owned());
            self.types.len() - 1
        });
        at as u32
    }

    /// Counts the entities of one text.
    pub fn count(&mut self, expected: &[Span<'_>], predicted: &[Span<'_>]) -> Vec<(u32, Counts)> {
        let mut text = Evaluation::default();
        text.add(expected, predicted);
        text.by_label.iter().map(|(kind, &counts)| (self.number(kind), counts)).collect()
    }

    /// Types in alphabetical order.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.types.len()).collect();
        order.sort_by_key(|&at| &self.types[at]);
        order
    }
}

impl Measure for EntityFigures {
    type Observation = TextCounts;

    fn names(&self) -> Vec<String> {
        let mut names = vec![];
        for mode in ["lenient", "strict"].into_iter().take(1 + usize::from(self.strict)) {
            let types = self.order().into_iter().map(|at| format!("[{}]", self.types[at]));
            for of in [String::new()].into_iter().chain(types) {
                names.extend(["precision", "recall", "f1"].map(|figure| format!("{mode}_{figure}{of}")));
            }
        }
        names
    }

    fn values(&self, sample: &[&TextCounts]) -> Vec<f64> {
        let mut values = vec![];
        let figures = |counts: Counts| [counts.precision(), counts.recall(), counts.f1()];
        for strict in [false, true].into_iter().take(1 + usize::from(self.strict)) {
            let mut by_type = vec![Counts::default(); self.types.len()];
            for text in sample {
                for &(kind, counts) in if strict { &text.strict } else { &text.lenient } {
                    let sum = &mut by_type[kind as usize];
                    *sum = sum.plus(counts);
                }
            }
            let all = by_type.iter().fold(Counts::default(), |all, &counts| all.plus(counts));
            values.extend(figures(all));
            values.extend(self.order().into_iter().flat_map(|at| figures(by_type[at])));
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token_classification::Scheme;

    #[test]
    fn strict_labels_begin_with_b() {
        let spans = |labels: &str| {
            let spans = strict_iob2(labels.split(' '));
            spans.iter().map(|span| format!("{} {:?}", span.label, span.range)).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(spans("I-A I-A O"), "");
        assert_eq!(spans("B-A I-A B-A I-B B-B"), "A 0..2, A 2..3, B 4..5");
        assert_eq!(spans("B-A O I-A"), "A 0..1");
        assert_eq!(spans("B I O B-A-B I-A-B S-A"), " 0..2, A-B 3..5");
    }

    #[test]
    fn figures_are_named_by_mode_and_type() {
        let mut measure = EntityFigures { strict: true, ..EntityFigures::default() };
        let text = |measure: &mut EntityFigures, expected: &str, predicted: &str| {
            let [expected, predicted]: [Vec<&str>; 2] =
                [expected, predicted].map(|labels| labels.split(' ').collect());
            TextCounts {
                lenient: measure.count(
                    &Scheme::Iob.spans(expected.iter().copied()),
                    &Scheme::Iob.spans(predicted.iter().copied()),
                ),
                strict: measure
                    .count(&strict_iob2(expected.iter().copied()), &strict_iob2(predicted.iter().copied())),
            }
        };
        let texts =
            [text(&mut measure, "B-PER O B-LOC", "I-PER O B-LOC"), text(&mut measure, "O O", "O B-ORG")];
        let sample: Vec<_> = texts.iter().collect();
        let figures: std::collections::HashMap<_, _> =
            measure.names().into_iter().zip(measure.values(&sample)).collect();
        assert_eq!(figures.len(), 2 * 3 * 4);
        assert_eq!((figures["lenient_f1"], figures["strict_f1"]), (0.8, 0.5));
        assert_eq!((figures["lenient_f1[PER]"], figures["strict_f1[PER]"]), (1.0, 0.0));
        assert_eq!(figures["lenient_precision[ORG]"], 0.0);
    }
}
