//! Texts that belong together, or do not: what models of text embeddings are trained on.
//!
//! ```
//! use bert_tasks::data::pairs::{self, Kind, Options, Texts};
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("stsb.csv");
//! std::fs::write(&path, "A plane takes off.,An air plane is taking off.,5.0\n")?;
//! // No header: the columns are taken in their order.
//! let options = Options { kind: Kind::Scored, scores: 0.0..=5.0, ..Options::default() };
//! let example = pairs::read(&path, &options)?.next().unwrap()?;
//! assert!(matches!(example.texts, Texts::Scored { score: 1.0, .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Columns are found by their usual names: `anchor`, `positive` and `negative`; `query`, `passage`;
//! `sentence1`, `sentence2` and `score`. In a table without a header they come in this order, unless other
//! numbers are given. Scores are scaled to 0 … 1.

use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::Value;

use super::error::{DataError, Result};
use super::rows::{Reading, Row, Rows, Wanted};
use super::{Format, Place};

/// What an example is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Two texts that belong together.
    #[default]
    Pairs,
    /// The same and one that does not belong to the first.
    Triplets,
    /// Two texts and how much they have to do with each other.
    Scored,
}

/// How the table is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// What an example is.
    pub kind: Kind,
    /// In place of what the name of the file tells.
    pub format: Option<Format>,
    /// Whether the first row is a header, in place of what it looks like.
    pub header: Option<bool>,
    /// The columns of an example, by their names or their numbers counted from 1, in place of the usual ones:
    /// as many as an example has parts.
    pub columns: Option<Vec<String>>,
    /// The least and the greatest score. Others are errors.
    pub scores: RangeInclusive<f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { kind: Kind::default(), format: None, header: None, columns: None, scores: 0.0..=1.0 }
    }
}

/// The texts of an example.
#[derive(Clone, Debug, PartialEq)]
pub enum Texts {
    /// Two texts that belong together.
    Pair {
        /// Such as a question.
        anchor: String,
        /// Such as its answer.
        positive: String,
    },
    /// The same and one that does not belong to the first.
    Triplet {
        /// Such as a question.
        anchor: String,
        /// Such as its answer.
        positive: String,
        /// Such as another answer.
        negative: String,
    },
    /// Two texts and how much they have to do with each other.
    Scored {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// From 0 to 1.
        score: f64,
    },
}

/// Texts, and where they stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The texts.
    pub texts: Texts,
    /// Where they stand.
    pub place: Place,
}

const FIRST: &[&str] = &["anchor", "query", "sentence1", "text1", "premise", "question", "question1"];
const SECOND: &[&str] =
    &["positive", "pos", "passage", "sentence2", "text2", "hypothesis", "answer", "question2"];
const NEGATIVE: &[&str] = &["negative", "neg", "hard_negative", "sentence3"];
const SCORE: &[&str] = &["score", "similarity_score", "similarity", "label"];

/// Reads a file.
///
/// # Errors
/// A file that cannot be opened, or whose format is not known; [`DataError::Setting`] for a range of scores
/// that is none, or another number of columns than an example has parts. What is wrong inside comes out as an
/// item.
pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<Examples> {
    let Options { kind, ref scores, .. } = *options;
    if !(scores.start().is_finite() && scores.end().is_finite() && scores.start() < scores.end()) {
        return Err(DataError::Setting {
            setting: "scores",
            found: format!("{},{}", scores.start(), scores.end()),
            expected: "two finite numbers, the lesser first",
        });
    }
    let mut wanted = vec![Wanted::required("first text", FIRST, &None)];
    wanted.push(Wanted::required("second text", SECOND, &None));
    match kind {
        Kind::Pairs => {}
        Kind::Triplets => wanted.push(Wanted::required("negative text", NEGATIVE, &None)),
        Kind::Scored => wanted.push(Wanted::required("score", SCORE, &None)),
    }
    if let Some(columns) = &options.columns {
        if columns.len() != wanted.len() {
            return Err(DataError::Setting {
                setting: "columns",
                found: format!("{columns:?}"),
                expected: "2 columns for pairs, 3 for triplets and scored pairs",
            });
        }
        wanted.iter_mut().zip(columns).for_each(|(wanted, column)| wanted.given = Some(column.clone()));
    } else {
        wanted.iter_mut().zip(1..).for_each(|(wanted, number)| wanted.otherwise = Some(number));
    }
    let reading = Reading { format: options.format, header: options.header };
    Ok(Examples { rows: Rows::open(path.as_ref(), &reading, wanted)?, kind, scores: scores.clone() })
}

/// The examples of a file, one at a time; made by [`read`].
pub struct Examples {
    rows: Rows,
    kind: Kind,
    scores: RangeInclusive<f64>,
}

impl Examples {
    fn example(&self, mut row: Row) -> Result<Example> {
        let first = row.text(0, "first text")?;
        let second = row.text(1, "second text")?;
        let texts = match self.kind {
            Kind::Pairs => Texts::Pair { anchor: first, positive: second },
            Kind::Triplets => {
                Texts::Triplet { anchor: first, positive: second, negative: row.text(2, "negative text")? }
            }
            Kind::Scored => {
                let score = row.number(2, "score")?;
                let (least, greatest) = (self.scores.start(), self.scores.end());
                if !self.scores.contains(&score) {
                    let expected = format!("from {least} to {greatest}; set the range of the scores");
                    return Err(row.wrong("score", &Value::from(score), expected));
                }
                Texts::Scored { first, second, score: (score - least) / (greatest - least) }
            }
        };
        Ok(Example { texts, place: row.place })
    }
}

impl Iterator for Examples {
    type Item = Result<Example>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(row.and_then(|row| self.example(row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(name: &str, text: &str, options: &Options) -> Result<Vec<Texts>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path, options)?.map(|example| Ok(example?.texts)).collect()
    }

    fn options(kind: Kind) -> Options {
        Options { kind, ..Options::default() }
    }

    fn pair(anchor: &str, positive: &str) -> Texts {
        Texts::Pair { anchor: anchor.into(), positive: positive.into() }
    }

    #[test]
    fn pairs_and_triplets() {
        let expected = [pair("a", "b"), pair("c", "d")];
        for (name, file) in [
            ("x.csv", "positive,id,anchor\nb,1,a\nd,2,c\n"),
            ("x.tsv", "Query\tPassage\na\tb\nc\td\n"),
            ("x.tsv", "a\tb\nc\td\n"),
            (
                "x.jsonl",
                "{\"question\": \"a\", \"answer\": \"b\"}\n{\"anchor\": \"c\", \"positive\": \"d\"}\n",
            ),
        ] {
            assert_eq!(read_text(name, file, &options(Kind::Pairs)).unwrap(), expected, "{file}");
        }
        let triplets = read_text("x.csv", "a,b,c\n", &options(Kind::Triplets)).unwrap();
        assert!(matches!(&triplets[..], [Texts::Triplet { negative, .. }] if negative == "c"));
        let error = read_text("x.csv", "anchor,positive\na,b\n", &options(Kind::Triplets)).unwrap_err();
        assert!(error.to_string().contains("negative"), "{error}");
    }

    #[test]
    fn scores_are_scaled() {
        let sts = Options { scores: 0.0..=5.0, ..options(Kind::Scored) };
        let file = "index,sentence1,sentence2,score\n0,a,b,2.5\n";
        let scored = |score| Texts::Scored { first: "a".into(), second: "b".into(), score };
        assert_eq!(read_text("x.csv", file, &sts).unwrap(), [scored(0.5)]);
        let options = Options { columns: Some(vec!["2".into(), "3".into(), "4".into()]), ..sts.clone() };
        assert_eq!(read_text("x.csv", "0,a,b,5\n", &options).unwrap(), [scored(1.0)]);
        for (file, wrong) in [("a,b,5.5\n", "from 0 to 5"), ("a,b,\n", "a number"), ("a,b,NaN\n", "a number")]
        {
            let error = read_text("x.csv", file, &sts).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("x.csv:1: "), "{error}");
        }
        for bad in [1.0..=1.0, 2.0..=1.0, f64::NAN..=1.0] {
            assert!(read_text("x.csv", "", &Options { scores: bad, ..sts.clone() }).is_err());
        }
        assert!(read_text("x.csv", "", &Options { columns: Some(vec![]), ..sts }).is_err());
    }
}
