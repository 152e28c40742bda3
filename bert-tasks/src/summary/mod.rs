//! Summaries: the sentences of a text that say what it is about, as they stand.
//!
//! ```
//! use bert_tasks::summary::{Length, SummaryOptions};
//! use bert_tasks::{Device, Summarizer};
//! let model = "path/to/all-MiniLM-L6-v2";
//! # let model = bert_conformance::checkpoint("bert-embedding");
//! # let model = model.to_str().unwrap();
//! let summarizer = Summarizer::load(model, &Device::auto()?)?;
//! let text = "The river is long. It rises in the hills. The bank is closed. It ends in the sea.";
//! let options = SummaryOptions { length: Length::Sentences(2), ..SummaryOptions::default() };
//! let summary = summarizer.summarize(text, &options)?;
//! assert_eq!(summary.sentences.len(), 2);
//! for sentence in &summary.sentences {
//!     assert_eq!(&text[sentence.range.clone()], sentence.text);
//! }
//! # Ok::<(), bert_tasks::Error>(())
//! ```
//!
//! Sentences become vectors, by any model for [`Embedding`]; a [`Method`] puts them in an order. The first sentences of a
//! text ([`Method::Lead`]) are a summary that is hard to beat for news: `evaluation::tasks::summary` measures both.

mod kmeans;
mod mmr;
mod rank;

use std::ops::Range;
use std::str::FromStr;

use bert_core::contract::Precision;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::sentences::sentence_ranges;
use crate::{Device, Embedding, Error, Pretrained, Result, Task};

/// How sentences are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Sentences are grouped by their meaning, and the one in the middle of each group is taken (Miller, 2019).
    #[default]
    KMeans,
    /// Sentences that are like many others that matter (Mihalcea and Tarau, 2004; Erkan and Radev, 2004).
    TextRank,
    /// Sentences that are like the text and unlike one another (Carbonell and Goldstein, 1998).
    Mmr,
    /// The first sentences. It needs no model, and is what others have to beat.
    Lead,
}

impl Method {
    /// The words for them.
    pub const WORDS: [(&'static str, Self); 4] =
        [("k-means", Self::KMeans), ("text-rank", Self::TextRank), ("mmr", Self::Mmr), ("lead", Self::Lead)];
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let found = Self::WORDS.iter().find(|(known, _)| *known == word);
        found.map(|&(_, method)| method).ok_or_else(|| Error::Setting {
            setting: "method",
            found: format!("{word:?}"),
            expected: "k-means, text-rank, mmr or lead",
        })
    }
}

/// How long a summary is. It has one sentence at least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// So many sentences.
    Sentences(usize),
    /// This share of the sentences, rounded up.
    Ratio(f64),
    /// As many of the best sentences as fit in so many words.
    Words(usize),
}

/// How a text is summarised.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryOptions {
    /// How sentences are chosen.
    pub method: Method,
    /// How many.
    pub length: Length,
    /// Where groups begin (k-means).
    pub seed: u64,
    /// Whether all sentences are ranked, and not only those of the summary.
    pub ranking: bool,
}

impl Default for SummaryOptions {
    fn default() -> Self {
        Self { method: Method::default(), length: Length::Sentences(3), seed: 0, ranking: false }
    }
}

/// A sentence of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SummarySentence {
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// The sentence.
    pub text: String,
    /// Which of the ranking it is, from 1.
    pub rank: usize,
    /// What the method gave it: the cosine with the centre of its group, the share of all weight, the margin, or for the
    /// first sentences nothing.
    pub score: Option<f64>,
}

/// A summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How it was made.
    pub method: Method,
    /// The sentences of the summary in the order of the text.
    pub sentences: Vec<SummarySentence>,
    /// All sentences, best first, if they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranking: Vec<SummarySentence>,
    /// How many sentences the text has.
    pub of: usize,
    /// How many sentences are longer than the model's input, so that it saw only their beginnings.
    pub cut: usize,
}

impl Summary {
    /// The sentences in one line.
    pub fn text(&self) -> String {
        self.sentences.iter().map(|sentence| sentence.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// A model of sentence vectors that summarises.
#[derive(Clone, Debug)]
pub struct Summarizer {
    embedding: Embedding,
}

impl From<Embedding> for Summarizer {
    fn from(embedding: Embedding) -> Self {
        Self { embedding }
    }
}

impl Summarizer {
    /// Loads a model from a folder or by its id on the model hub: one for sentence vectors, or any encoder, whose hidden
    /// states are averaged.
    ///
    /// # Errors
    /// As [`Embedding::load`].
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Embedding::load(name, device).map(Self::from)
    }

    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// As [`Embedding::from_pretrained`].
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> Result<Self> {
        Embedding::from_pretrained(files, device, precision).map(Self::from)
    }

    /// Summarises a text of any length. Time and memory are those of the vectors, but for
    /// [`TextRank`](Method::TextRank), which compares all pairs of sentences, without keeping them.
    ///
    /// # Errors
    /// [`Error::NoSentence`] for a text without any; [`Error::Setting`] for a length that makes no sense; a device that
    /// failed.
    pub fn summarize(&self, text: &str, options: &SummaryOptions) -> Result<Summary> {
        let ranges = sentence_ranges(text);
        let count = wanted(text, &ranges, options.length)?;
        if ranges.is_empty() {
            return Err(Error::NoSentence);
        }
        let (order, cut) = match options.method {
            Method::Lead => ((0..ranges.len()).map(|at| (at, None)).collect(), 0),
            _ => {
                let (rows, cut) = self.vectors(text, &ranges)?;
                let ranked = match options.method {
                    Method::TextRank => rank::rank(rows.view()),
                    Method::Mmr if options.ranking => mmr::rank(rows.view(), rows.nrows()),
                    Method::Mmr => mmr::rank(rows.view(), count),
                    _ => kmeans::rank(rows.view(), count, options.seed),
                };
                (ranked.into_iter().map(|(at, score)| (at, Some(score))).collect::<Vec<_>>(), cut)
            }
        };
        let sentence = |(rank, (at, score)): (usize, (usize, Option<f64>))| {
            let range: Range<usize> = ranges[at].clone();
            SummarySentence { text: text[range.clone()].to_owned(), range, rank: rank + 1, score }
        };
        let chosen = choose(text, &ranges, &order, count, options.length);
        let mut sentences: Vec<_> = order
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, (at, _))| chosen.contains(at))
            .map(sentence)
            .collect();
        sentences.sort_by_key(|sentence| sentence.range.start);
        let ranking = match options.ranking {
            true => order.iter().copied().enumerate().map(sentence).collect(),
            false => vec![],
        };
        Ok(Summary { method: options.method, sentences, ranking, of: ranges.len(), cut })
    }

    /// `[sentences, dimensions]`, and how many were too long.
    fn vectors(&self, text: &str, ranges: &[Range<usize>]) -> Result<(Array2<f32>, usize)> {
        let (mut numbers, mut cut) = (Vec::with_capacity(ranges.len() * self.embedding.dimensions()), 0);
        for embedded in self.embedding.stream(ranges.iter().map(|range| text[range.clone()].to_owned())) {
            let embedded = embedded?;
            numbers.extend_from_slice(&embedded.vector);
            cut += usize::from(embedded.truncated.is_some());
        }
        let shape = (ranges.len(), self.embedding.dimensions());
        Ok((Array2::from_shape_vec(shape, numbers).expect("each vector has as many numbers"), cut))
    }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// How many sentences there should be; of a length in words about twice as many, of which those are taken that fit.
fn wanted(text: &str, ranges: &[Range<usize>], length: Length) -> Result<usize> {
    let wrong = |setting, found: String, expected| Err(Error::Setting { setting, found, expected });
    let count = match length {
        Length::Sentences(0) => return wrong("sentences", "0".into(), "at least 1"),
        Length::Words(0) => return wrong("words", "0".into(), "at least 1"),
        Length::Sentences(count) => count,
        Length::Ratio(ratio) if ratio > 0.0 && ratio <= 1.0 => (ranges.len() as f64 * ratio).ceil() as usize,
        Length::Ratio(ratio) => return wrong("ratio", ratio.to_string(), "above 0 and at most 1"),
        Length::Words(most) => {
            let all = ranges.iter().map(|range| words(&text[range.clone()])).sum::<usize>().max(1);
            (2 * most).saturating_mul(ranges.len()).div_ceil(all)
        }
    };
    Ok(count.clamp(1, ranges.len().max(1)))
}

/// The places of the sentences that make the summary.
fn choose(
    text: &str,
    ranges: &[Range<usize>],
    order: &[(usize, Option<f64>)],
    count: usize,
    length: Length,
) -> std::collections::HashSet<usize> {
    let places = order.iter().map(|&(at, _)| at);
    let Length::Words(most) = length else { return places.take(count).collect() };
    let mut left = most;
    let mut chosen = std::collections::HashSet::new();
    for at in places {
        let words = words(&text[ranges[at].clone()]);
        // The first one is there even if it is longer.
        if words <= left || chosen.is_empty() {
            chosen.insert(at);
            left = left.saturating_sub(words);
        }
    }
    chosen
}
