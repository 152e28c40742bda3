//! From entities to the labels of tokens or words.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::LabelSet;
use super::super::error::{DataError, Result};
use crate::token_classification::{OUTSIDE, Scheme, Span};

/// The labels of a token classifier, and how entities are written in them.
///
/// ```
/// use bert_tasks::data::entities::TagSet;
/// use bert_tasks::token_classification::{Scheme, Span};
/// let tags = TagSet::new(["PER", "LOC"], Scheme::Iob)?;
/// assert_eq!(tags.labels().names(), ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]);
/// // "Ada King died": the entity is the bytes 0..8.
/// let encoded = tags.encode(&[0..3, 4..8, 9..13], &[Span { label: "PER", range: 0..8 }])?;
/// assert_eq!(encoded.labels, [3, 4, 0]);
/// # Ok::<(), bert_tasks::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagSet {
    labels: LabelSet,
    scheme: Scheme,
    outside: usize,
}

/// Labels of tokens or words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// For each unit, the number of its label.
    pub labels: Vec<usize>,
    /// How many entities do not begin and end where units do, so that the labels say something else. Those
    /// that cover no unit at all are among them.
    pub inexact: usize,
}

impl TagSet {
    /// Labels for entities of these types: `O`, and then those of each type in alphabetical order. IOB is
    /// written as IOB2, BIOES with `E-` and `S-`.
    ///
    /// # Errors
    /// [`DataError::LabelSet`] if a type is `O` where labels have no prefixes.
    pub fn new(types: impl IntoIterator<Item = impl Into<String>>, scheme: Scheme) -> Result<Self> {
        let types: BTreeSet<String> = types.into_iter().map(Into::into).collect();
        let prefixes: &[&str] = match scheme {
            Scheme::Iob => &["B-", "I-"],
            Scheme::Bioes => &["B-", "I-", "E-", "S-"],
            Scheme::Plain => &[""],
        };
        let tagged =
            types.iter().flat_map(|kind| prefixes.iter().map(move |prefix| format!("{prefix}{kind}")));
        let labels = LabelSet::new([OUTSIDE.to_owned()].into_iter().chain(tagged))?;
        Ok(Self { labels, scheme, outside: 0 })
    }

    /// The labels of a model, in its order and its spelling (`L-` for `E-`, `U-` for `S-` and the like).
    ///
    /// # Errors
    /// [`DataError::LabelSet`] if there is no `O` among them.
    pub fn from_labels(labels: LabelSet) -> Result<Self> {
        let Ok(outside) = labels.index(OUTSIDE) else {
            return Err(DataError::LabelSet { found: format!("there is no {OUTSIDE:?} in it") });
        };
        let scheme = Scheme::detect(labels.names());
        Ok(Self { labels, scheme, outside })
    }

    /// The labels.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// How they tell where entities begin and end.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The labels of units (tokens or words, as bytes of the text, in order) for entities of the same text. A
    /// unit is labelled if an entity covers any part of it.
    ///
    /// Give all units of a text, and cut it into windows afterwards: an entity that a window cuts then goes on
    /// in the next one.
    ///
    /// # Errors
    /// [`DataError::UnknownLabel`] for a type that the labels cannot say; [`DataError::Span`] for entities that
    /// overlap.
    pub fn encode(&self, units: &[Range<usize>], entities: &[Span<'_>]) -> Result<Encoded> {
        let mut sorted: Vec<&Span<'_>> = entities.iter().collect();
        sorted.sort_by_key(|span| span.range.start);
        for pair in sorted.windows(2) {
            if pair[1].range.start < pair[0].range.end {
                return Err(DataError::Span {
                    place: None,
                    label: pair[1].label.to_owned(),
                    range: pair[1].range.clone(),
                    reason: "it overlaps another entity; a token can have only one label",
                });
            }
        }
        let mut labels = vec![self.outside; units.len()];
        let mut inexact = 0;
        let mut free = 0;
        for span in sorted {
            let covered = |unit: &Range<usize>| unit.end <= span.range.start;
            let first = units.partition_point(covered).max(free);
            let count = units[first..].iter().take_while(|unit| unit.start < span.range.end).count();
            let end = first + count;
            let exact =
                count > 0 && units[first].start == span.range.start && units[end - 1].end == span.range.end;
            inexact += usize::from(!exact);
            for (at, label) in labels[first..end].iter_mut().enumerate() {
                *label = self.tag(span.label, at == 0, at + 1 == count)?;
            }
            free = end;
        }
        Ok(Encoded { labels, inexact })
    }

    /// The label of a unit of an entity.
    fn tag(&self, kind: &str, first: bool, last: bool) -> Result<usize> {
        let prefixes: &[&str] = match (self.scheme, first, last) {
            (Scheme::Plain, ..) => return self.labels.index(kind),
            // A model whose training data was IOB1 may have no B-.
            (Scheme::Iob, true, _) => &["B", "I"],
            (Scheme::Iob, false, _) => &["I"],
            (Scheme::Bioes, true, true) => &["S", "U", "W"],
            (Scheme::Bioes, true, false) => &["B"],
            (Scheme::Bioes, false, true) => &["E", "L"],
            (Scheme::Bioes, false, false) => &["I", "M"],
        };
        let spell = |prefix: &&str| match kind {
            "" => (*prefix).to_owned(),
            _ => format!("{prefix}-{kind}"),
        };
        let known = prefixes.iter().find_map(|prefix| self.labels.index(&spell(prefix)).ok());
        known.ok_or_else(|| DataError::UnknownLabel {
            place: None,
            found: spell(&prefixes[0]),
            known: self.labels.names().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(tags: &TagSet, units: &[Range<usize>], entities: &[(&str, Range<usize>)]) -> (String, usize) {
        let spans: Vec<_> =
            entities.iter().map(|(label, range)| Span { label, range: range.clone() }).collect();
        let encoded = tags.encode(units, &spans).unwrap();
        let names: Vec<_> = encoded.labels.iter().map(|&at| tags.labels().names()[at].as_str()).collect();
        (names.join(" "), encoded.inexact)
    }

    #[test]
    fn every_scheme_is_written_as_it_is_read() {
        let units = [0..1, 2..3, 4..5, 6..7, 8..9];
        let entities = [("A", 0..5), ("B", 6..7), ("A", 8..9)];
        let of = |labels: &str| TagSet::from_labels(LabelSet::new(labels.split(' ')).unwrap()).unwrap();
        for (tags, expected) in [
            (TagSet::new(["A", "B"], Scheme::Iob).unwrap(), "B-A I-A I-A B-B B-A"),
            (TagSet::new(["A", "B"], Scheme::Bioes).unwrap(), "B-A I-A E-A S-B S-A"),
            (TagSet::new(["A", "B"], Scheme::Plain).unwrap(), "A A A B A"),
            (of("I-A O B-A I-B"), "B-A I-A I-A I-B B-A"),
            (of("O B-A M-A L-A U-A U-B"), "B-A M-A L-A U-B U-A"),
        ] {
            assert_eq!(encode(&tags, &units, &entities), (expected.to_owned(), 0));
        }
    }

    #[test]
    fn entities_that_are_no_units_are_counted() {
        let tags = TagSet::new(["A"], Scheme::Iob).unwrap();
        let units = [0..4, 5..9];
        assert_eq!(encode(&tags, &units, &[("A", 2..4)]), ("B-A O".to_owned(), 1));
        assert_eq!(encode(&tags, &units, &[("A", 4..5)]), ("O O".to_owned(), 1));
        assert_eq!(encode(&tags, &units, &[("A", 0..2), ("A", 2..4)]), ("B-A O".to_owned(), 2));
        assert_eq!(encode(&tags, &units, &[("A", 20..30)]), ("O O".to_owned(), 1));
        assert_eq!(encode(&tags, &[], &[("A", 0..1)]), (String::new(), 1));
    }

    #[test]
    fn what_labels_cannot_say_is_an_error() {
        let tags = TagSet::new(["A"], Scheme::Iob).unwrap();
        let unit = std::slice::from_ref(&(0..9));
        let error = tags.encode(unit, &[Span { label: "B", range: 0..9 }]).unwrap_err().to_string();
        assert!(error.contains("B-B") && error.contains("O, B-A, I-A"), "{error}");
        let overlapping = [Span { label: "A", range: 0..5 }, Span { label: "A", range: 4..9 }];
        assert!(matches!(tags.encode(unit, &overlapping), Err(DataError::Span { .. })));
        assert!(TagSet::from_labels(LabelSet::new(["A"]).unwrap()).is_err());
        assert!(TagSet::new(["O"], Scheme::Plain).is_err());
    }

    proptest! {
        /// Labels of words give the entities back.
        #[test]
        fn what_is_written_is_read(labels in prop::collection::vec("O|[BI]-[XY]", 0..20)) {
            let units: Vec<_> = (0..labels.len()).map(|at| 2 * at..2 * at + 1).collect();
            let bytes = |mut spans: Vec<Span<'static>>| {
                spans.iter_mut().for_each(|span| {
                    span.range = 2 * span.range.start..2 * (span.range.end - 1) + 1;
                });
                spans
            };
            let owned: &'static [String] = Box::leak(labels.into_boxed_slice());
            let entities = bytes(Scheme::Iob.spans(owned.iter().map(String::as_str)));
            for scheme in [Scheme::Iob, Scheme::Bioes] {
                let tags = TagSet::new(["X", "Y"], scheme).unwrap();
                let encoded = tags.encode(&units, &entities).unwrap();
                let names: Vec<_> = encoded.labels.iter().map(|&at| tags.labels().names()[at].clone()).collect();
                let names: &'static [String] = Box::leak(names.into_boxed_slice());
                prop_assert_eq!(&bytes(scheme.spans(names.iter().map(String::as_str))), &entities);
                prop_assert_eq!(encoded.inexact, 0);
            }
        }
    }
}
