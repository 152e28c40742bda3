//! What the labels of a row of tokens say about entities.
//!
//! ```
//! use bert_tasks::token_classification::{Scheme, Span};
//! let labels = ["B-PER", "I-PER", "O", "I-LOC", "B-LOC"];
//! let scheme = Scheme::detect(&labels);
//! assert_eq!(scheme, Scheme::Iob);
//! assert_eq!(
//!     scheme.spans(labels),
//!     [
//!         Span { label: "PER", range: 0..2 },
//!         Span { label: "LOC", range: 3..4 },
//!         Span { label: "LOC", range: 4..5 },
//!     ]
//! );
//! ```

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::Serialize;

use crate::Error;

/// The label of what belongs to no entity.
pub const OUTSIDE: &str = "O";

/// How labels tell where entities begin and end.
///
/// Models do not keep to the rules of their scheme, so none is enforced: an inside or an end that follows
/// nothing of its type begins an entity, as in `conlleval`, in seqeval's default mode and in transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// IOB1 and IOB2 (BIO): `B-PER` begins an entity, `I-PER` continues one, or begins one where there is
    /// none to continue. IOB1 writes `B-` only between neighbours of one type and IOB2 always; read this
    /// way, they mean the same.
    Iob,
    /// BIOES, BILOU and BMES: as IOB, but `E-PER` (`L-`) ends an entity and `S-PER` (`U-`, `W-`) is a whole
    /// one. `M-` is `I-`.
    Bioes,
    /// Labels without prefixes: neighbours of one label are one entity.
    Plain,
}

/// A run of tokens or words with one meaning.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Span<'a> {
    /// The type: the label without its prefix.
    pub label: &'a str,
    /// What it covers, counted in the units that were labelled.
    pub range: Range<usize>,
}

/// Where in an entity a token stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Begin,
    Inside,
    End,
    Single,
}

impl Scheme {
    /// The scheme that a model's labels are written in.
    ///
    /// A type with both a beginning and an end (`B-PER` and `E-PER` or `L-PER`) tells BIOES; else a prefix
    /// `B-` or `I-` tells IOB, and so do the bare labels `B` and `I` of models that know a single type.
    /// Everything else is plain, such as `E-MAIL` beside `NAME`.
    pub fn detect<S: AsRef<str>>(labels: &[S]) -> Self {
        let mut prefixes: HashMap<&str, Vec<&str>> = HashMap::new();
        for (prefix, kind) in labels.iter().map(|label| parts(label.as_ref())) {
            prefixes.entry(kind).or_default().push(prefix);
        }
        let mut scheme = Self::Plain;
        for (kind, prefixes) in prefixes {
            let has = |prefix| prefixes.contains(&prefix);
            if has("B") && (has("E") || has("L")) {
                return Self::Bioes;
            }
            if has("B") && has("I") || !kind.is_empty() && (has("B") || has("I")) {
                scheme = Self::Iob;
            }
        }
        scheme
    }

    /// The entities that labels of consecutive tokens (or words) make, in order.
    pub fn spans<'a>(self, labels: impl IntoIterator<Item = &'a str>) -> Vec<Span<'a>> {
        let mut spans = self.runs(labels);
        spans.retain(|span| span.label != OUTSIDE);
        spans
    }

    /// The same with the runs between entities, so that every token is in one span.
    pub(super) fn runs<'a>(self, labels: impl IntoIterator<Item = &'a str>) -> Vec<Span<'a>> {
        let mut runs: Vec<Span<'a>> = vec![];
        let mut open = false;
        for (at, label) in labels.into_iter().enumerate() {
            let (place, label) = self.read(label);
            let continues = open && matches!(place, Place::Inside | Place::End);
            match runs.last_mut() {
                Some(run) if continues && run.label == label => run.range.end = at + 1,
                _ => runs.push(Span { label, range: at..at + 1 }),
            }
            open = matches!(place, Place::Begin | Place::Inside);
        }
        runs
    }

    /// A label's type: what follows its prefix, or all of it where it has none that the scheme knows.
    pub fn kind(self, label: &str) -> &str {
        self.read(label).1
    }

    fn read(self, label: &str) -> (Place, &str) {
        let (prefix, kind) = parts(label);
        let place = match (self, prefix) {
            (Self::Iob | Self::Bioes, "B") => Place::Begin,
            (Self::Iob | Self::Bioes, "I") | (Self::Bioes, "M") => Place::Inside,
            (Self::Bioes, "E" | "L") => Place::End,
            (Self::Bioes, "S" | "U" | "W") => Place::Single,
            _ => return (Place::Inside, label),
        };
        (place, kind)
    }
}

/// `B-PER` is `B` and `PER`; `B` is `B` of no type.
fn parts(label: &str) -> (&str, &str) {
    label.split_once('-').unwrap_or((label, ""))
}

impl FromStr for Scheme {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        match word.trim().to_ascii_lowercase().as_str() {
            "iob" | "iob1" | "iob2" | "bio" => Ok(Self::Iob),
            "bioes" | "iobes" | "bilou" | "bmes" | "bmewo" => Ok(Self::Bioes),
            "plain" => Ok(Self::Plain),
            _ => Err(Error::Setting {
                setting: "scheme",
                found: format!("{word:?}"),
                expected: "iob1, iob2 (bio), bioes, bilou, bmes or plain",
            }),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iob => "iob",
            Self::Bioes => "bioes",
            Self::Plain => "plain",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `PER 0..2, LOC 3..4` for labels separated by blanks.
    fn spans(scheme: Scheme, labels: &str) -> String {
        let spans = scheme.spans(labels.split_whitespace());
        let spans: Vec<_> = spans.iter().map(|span| format!("{} {:?}", span.label, span.range)).collect();
        spans.join(", ")
    }

    #[test]
    fn iob() {
        for (labels, expected) in [
            ("", ""),
            ("O O", ""),
            ("B-A I-A I-A O B-B", "A 0..3, B 4..5"),
            // IOB1: an inside after nothing begins; a beginning parts neighbours of one type.
            ("I-A I-A O I-A", "A 0..2, A 3..4"),
            ("I-A B-A I-A", "A 0..1, A 1..3"),
            ("B-A B-A", "A 0..1, A 1..2"),
            // An inside of another type begins.
            ("B-A I-B I-B I-A", "A 0..1, B 1..3, A 3..4"),
            ("I-A I-B", "A 0..1, B 1..2"),
            // Types with hyphens; a label that the scheme does not know is a type.
            ("B-A-B I-A-B I-A", "A-B 0..2, A 2..3"),
            ("X X B-A I-X X", "X 0..2, A 2..3, X 3..5"),
            ("E-A E-A S-A", "E-A 0..2, S-A 2..3"),
            ("B I O I B", " 0..2,  3..4,  4..5"),
        ] {
            assert_eq!(spans(Scheme::Iob, labels), expected, "{labels}");
        }
    }

    #[test]
    fn bioes() {
        for (labels, expected) in [
            ("B-A I-A E-A O S-B S-B", "A 0..3, B 4..5, B 5..6"),
            ("B-A L-A U-A B-B I-B L-B", "A 0..2, A 2..3, B 3..6"),
            ("B-A M-A E-A W-A", "A 0..3, A 3..4"),
            ("B-A E-A E-A", "A 0..2, A 2..3"),
            // Strays: nothing to continue or to end.
            ("O I-A O E-A O", "A 1..2, A 3..4"),
            ("S-A I-A E-A", "A 0..1, A 1..3"),
            ("E-A I-A", "A 0..1, A 1..2"),
            // Not ended, and ended by another type.
            ("B-A O B-A B-A", "A 0..1, A 2..3, A 3..4"),
            ("B-A I-A E-B", "A 0..2, B 2..3"),
            ("B-A I-B E-B", "A 0..1, B 1..3"),
            ("B-A S-A I-A", "A 0..1, A 1..2, A 2..3"),
        ] {
            assert_eq!(spans(Scheme::Bioes, labels), expected, "{labels}");
        }
    }

    #[test]
    fn plain() {
        assert_eq!(spans(Scheme::Plain, "A A B O A B-A I-A"), "A 0..2, B 2..3, A 4..5, B-A 5..6, I-A 6..7");
    }

    #[test]
    fn the_labels_tell_the_scheme() {
        for (labels, expected) in [
            ("O B-PER I-PER", Scheme::Iob),
            ("O I-PER I-LOC B-LOC", Scheme::Iob),
            ("O I-PER I-LOC", Scheme::Iob),
            ("B I O", Scheme::Iob),
            ("X [CLS] [SEP] B-PER I-PER", Scheme::Iob),
            ("O B-PER I-PER E-PER S-PER", Scheme::Bioes),
            ("O B-PER I-PER L-PER U-PER", Scheme::Bioes),
            ("O B-PER M-PER E-PER S-PER", Scheme::Bioes),
            ("LABEL_0 LABEL_1", Scheme::Plain),
            ("O PER E-MAIL S-CORP", Scheme::Plain),
            ("O B-MAIL I-MAIL B-U-TURN I-U-TURN E-MAIL-ISH", Scheme::Iob),
            ("A B C", Scheme::Plain),
            ("", Scheme::Plain),
        ] {
            let labels: Vec<_> = labels.split_whitespace().collect();
            assert_eq!(Scheme::detect(&labels), expected, "{labels:?}");
        }
    }

    #[test]
    fn schemes_are_named_by_words() {
        for scheme in [Scheme::Iob, Scheme::Bioes, Scheme::Plain] {
            assert_eq!(scheme.to_string().parse::<Scheme>().unwrap(), scheme);
        }
        assert_eq!("BILOU".parse::<Scheme>().unwrap(), Scheme::Bioes);
        let error = "iob3".parse::<Scheme>().unwrap_err().to_string();
        assert!(error.contains("iob3") && error.contains("bilou"), "{error}");
    }

    /// `startOfChunk` and `endOfChunk` of conlleval, written out as there.
    fn conlleval<'a>(labels: &[&'a str]) -> Vec<Span<'a>> {
        let mut spans = vec![];
        let mut start = None;
        let mut previous = ("O", "");
        for (at, label) in labels.iter().chain([&"O"]).enumerate() {
            let (tag, kind) = parts(label);
            let (previous_tag, previous_kind) = previous;
            let other_kind = previous_kind != kind;
            let ends = match (previous_tag, tag) {
                ("B" | "I", "B" | "S" | "O") | ("E" | "S", _) => true,
                ("O", _) => false,
                _ => other_kind,
            };
            let starts = match (previous_tag, tag) {
                (_, "O") => false,
                (_, "B" | "S") | ("E" | "S" | "O", "E" | "I") => true,
                _ => other_kind,
            };
            if let Some(start) = start.take_if(|_| ends) {
                spans.push(Span { label: previous_kind, range: start..at });
            }
            if starts {
                start = Some(at);
            }
            previous = (tag, kind);
        }
        spans
    }

    proptest! {
        #[test]
        fn spans_are_those_of_conlleval(
            labels in prop::collection::vec("O|[BIES]-[XY]", 0..30),
        ) {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            prop_assert_eq!(Scheme::Bioes.spans(labels.iter().copied()), conlleval(&labels));
        }

        #[test]
        fn runs_cover_everything_once(labels in prop::collection::vec("O|X|[BIELSU]-[XY]|[BI]", 0..30)) {
            for scheme in [Scheme::Iob, Scheme::Bioes, Scheme::Plain] {
                let mut at = 0;
                for run in scheme.runs(labels.iter().map(String::as_str)) {
                    prop_assert_eq!(run.range.start, at);
                    prop_assert!(run.range.end > at);
                    at = run.range.end;
                }
                prop_assert_eq!(at, labels.len());
            }
        }
    }
}
