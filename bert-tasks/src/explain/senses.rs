//! What a word means where it stands: its places in many texts, grouped by meaning.

use std::ops::Range;

use bert_core::contract::Precision;
use bert_core::graph::Head;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use serde::Serialize;

use super::clusters::Distances;
use super::error::quoted;
use super::{ExplainError, occurrences, page, plane};
use crate::embedding::cosine;
use crate::{Device, Error, Pretrained, Result, Session, Task};

/// How the places of a word are found and grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensesOptions {
    /// The layer whose hidden states are compared: 0 is the output of the embeddings, -1 that of the last layer.
    pub layer: i64,
    /// How many groups; as many as part best by their silhouette, if not given.
    pub clusters: Option<usize>,
    /// After how many places reading ends: at most 2,000, of all pairs of which there is a distance.
    pub limit: usize,
}

impl Default for SensesOptions {
    fn default() -> Self {
        Self { layer: -1, clusters: None, limit: 500 }
    }
}

/// The most places that are compared.
const MOST: usize = 2000;

/// Of a line that is longer, the model is given what stands within so many bytes of the word, which is more than most see.
const AROUND: usize = 4096;

/// A model that tells the meanings of words apart.
///
/// ```
/// use bert_tasks::explain::Senses;
/// use bert_tasks::{Device, Task};
/// let model = "path/to/bert-base-uncased";
/// # let model = bert_conformance::checkpoint("bert-embedding");
/// # let model = model.to_str().unwrap();
/// let senses = Senses::load(model, "bank", &Device::auto()?)?;
/// let lines = ["the bank of the river", "the bank of a stream", "money in the bank", "a bank account"];
/// let found = senses.group_lines(lines.map(str::to_owned))?;
/// for group in &found.groups {
///     let example = &found.occurrences[group.examples[0]];
///     println!("{} times, as in: {}{}{}", group.size, example.before, example.word, example.after);
/// }
/// assert_eq!(found.occurrences.len(), 4);
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Senses {
    pub(super) session: Session,
    word: String,
    /// Resolved: 0 is the output of the embeddings.
    layer: usize,
    clusters: Option<usize>,
    limit: usize,
}

/// A text in which the word stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The line, counted from 1.
    pub(super) line: u64,
    /// The byte of the line with which `text` begins.
    pub(super) offset: usize,
    pub(super) text: String,
    pub(super) ranges: Vec<Range<usize>>,
}

/// A place of the word.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Occurrence {
    /// The line, counted from 1.
    pub line: u64,
    /// Its bytes in the line.
    pub range: Range<usize>,
    /// What stands before it in the line; of much, the end.
    pub before: String,
    /// The word as it is written there.
    pub word: String,
    /// What follows it in the line; of much, the beginning.
    pub after: String,
    /// Its group: an index into [`WordSenses::groups`].
    pub group: usize,
    /// Its place on the plane that shows most of the differences.
    pub point: [f64; 2],
}

/// Places of like meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// How many there are.
    pub size: usize,
    /// The most typical ones first, at most five: indices into [`WordSenses::occurrences`].
    pub examples: Vec<usize>,
}

/// The places of a word, grouped by meaning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WordSenses {
    /// The word.
    pub word: String,
    /// The layer whose hidden states were compared.
    pub layer: usize,
    /// Whether there may be more places than were read.
    pub limited: bool,
    /// How many groups were asked for, if that was not left to the silhouette.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<usize>,
    /// The largest first.
    pub groups: Vec<Group>,
    /// How far the groups part, between -1 and 1; `None` for one group.
    pub silhouette: Option<f64>,
    /// The numbers of groups that were tried, each with its silhouette.
    pub tried: Vec<(usize, f64)>,
    /// How far the same groups part in each layer, from the embeddings on; empty for one group.
    pub by_layer: Vec<f64>,
    /// Which share of the differences each axis of the plane shows.
    pub shown: [f64; 2],
    /// In the order of the texts.
    pub occurrences: Vec<Occurrence>,
}

impl Senses {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A model that is not there, or damaged.
    pub fn load(name: &str, word: &str, device: &Device) -> Result<Self> {
        let session = Pretrained::open(name)?.load(Head::None, device, Precision::F32)?;
        Self::new(session, word, SensesOptions::default())
    }

    /// The meanings of a word, by a model with whatever head.
    ///
    /// # Errors
    /// [`Error::Layer`] for a layer that the model does not have; [`Error::Setting`] for an empty word, no groups, and a
    /// limit of 0 or of more than 2,000.
    pub fn new(session: Session, word: &str, options: SensesOptions) -> Result<Self> {
        let refuse = |setting, found: String, expected| Err(Error::Setting { setting, found, expected });
        let count = session.config().num_hidden_layers as i64;
        let layer = options.layer;
        let index = if layer < 0 { layer.saturating_add(count + 1) } else { layer };
        if !(0..=count).contains(&index) {
            return Err(Error::Layer { layer, count });
        }
        if !word.chars().any(char::is_alphanumeric) {
            return refuse("word", quoted(word), "a word, with a letter or a digit");
        }
        if options.clusters == Some(0) {
            return refuse("clusters", "0".into(), "at least 1");
        }
        if !(1..=MOST).contains(&options.limit) {
            return refuse("limit", options.limit.to_string(), "between 1 and 2000");
        }
        let (clusters, limit) = (options.clusters, options.limit);
        Ok(Self { session, word: word.to_owned(), layer: index as usize, clusters, limit })
    }

    /// The layer whose hidden states are compared; 0 is the output of the embeddings.
    pub(super) fn layer(&self) -> usize {
        self.layer
    }

    /// After how many places reading ends.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The places of the word in a line, at most `most` of them. A long line is cut into what surrounds each.
    pub fn contexts(&self, line: u64, text: &str, most: usize) -> Vec<Context> {
        let mut ranges = occurrences(text, &self.word);
        ranges.truncate(most);
        if ranges.is_empty() {
            return vec![];
        }
        if text.len() <= 2 * AROUND {
            return vec![Context { line, offset: 0, text: text.to_owned(), ranges }];
        }
        let around = |range: Range<usize>| {
            let start = text.floor_char_boundary(range.start.saturating_sub(AROUND));
            let end = text.ceil_char_boundary((range.end + AROUND).min(text.len()));
            let own = range.start - start..range.end - start;
            Context { line, offset: start, text: text[start..end].to_owned(), ranges: vec![own] }
        };
        ranges.into_iter().map(around).collect()
    }

    /// Finds the word in numbered lines, until there are as many places as the limit says, and groups them.
    ///
    /// # Errors
    /// [`ExplainError::WordNotFound`]; [`ExplainError::Clusters`]; [`Error::NotFinite`] from a damaged model; a device
    /// that failed.
    pub fn group_numbered(&self, lines: impl IntoIterator<Item = (u64, String)>) -> Result<WordSenses> {
        let mut left = self.limit;
        let mut lines = lines.into_iter();
        let contexts = std::iter::from_fn(|| {
            while left > 0 {
                let (line, text) = lines.next()?;
                let found = self.contexts(line, &text, left);
                left -= found.iter().map(|context| context.ranges.len()).sum::<usize>();
                if !found.is_empty() {
                    return Some(found);
                }
            }
            None
        });
        let mut found = vec![];
        for places in self.stream(contexts.flatten()) {
            found.extend(places?);
        }
        self.group(found, left == 0)
    }

    /// Finds the word in lines, as [`group_numbered`](Self::group_numbered), and groups its places.
    ///
    /// # Errors
    /// As [`group_numbered`](Self::group_numbered).
    pub fn group_lines(&self, lines: impl IntoIterator<Item = String>) -> Result<WordSenses> {
        self.group_numbered((1..).zip(lines))
    }

    fn group(&self, found: Vec<(Occurrence, Array2<f32>)>, limited: bool) -> Result<WordSenses> {
        let word = self.word.clone();
        let Some((_, first)) = found.first() else { return Err(ExplainError::WordNotFound { word }.into()) };
        let (layers, features) = first.dim();
        if let Some(asked) = self.clusters.filter(|&count| count > found.len()) {
            return Err(ExplainError::Clusters { asked, found: found.len() }.into());
        }
        let of_layer = |layer: usize| {
            let mut vectors = Array2::zeros((found.len(), features));
            for (mut row, (_, all)) in vectors.outer_iter_mut().zip(&found) {
                row.assign(&all.row(layer));
            }
            vectors
        };
        let vectors = of_layer(self.layer);
        let distances = Distances::new(vectors.view());
        let grouping = distances.group(self.clusters);
        let silhouette = distances.silhouette(&grouping.labels);
        let by_layer = (0..layers)
            .map_while(|layer| Distances::new(of_layer(layer).view()).silhouette(&grouping.labels));
        let by_layer = by_layer.collect();
        let (points, shown) = plane::plane(vectors.view());
        let count = grouping.labels.iter().max().map_or(0, |last| last + 1);
        let groups = (0..count).map(|group| typical(vectors.view(), &grouping.labels, group)).collect();
        let place = |(((occurrence, _), &group), &point): (((Occurrence, _), &usize), &[f64; 2])| {
            Occurrence { group, point, ..occurrence }
        };
        let occurrences = found.into_iter().zip(&grouping.labels).zip(&points).map(place).collect();
        let tried = grouping.tried;
        Ok(WordSenses {
            word,
            layer: self.layer,
            limited,
            clusters: self.clusters,
            groups,
            silhouette,
            tried,
            by_layer,
            shown,
            occurrences,
        })
    }
}

/// A group, and which of it point most in its direction.
fn typical(vectors: ArrayView2<'_, f32>, labels: &[usize], group: usize) -> Group {
    let mut members: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == group).collect();
    let size = members.len();
    let unit = |row: ArrayView1<'_, f32>| {
        let length = row.dot(&row).sqrt().max(1e-12);
        row.mapv(|x| x / length)
    };
    let centre =
        members.iter().fold(Array1::zeros(vectors.len_of(Axis(1))), |sum, &i| sum + unit(vectors.row(i)));
    let near = |i: usize| cosine(&vectors.row(i).to_vec(), &centre.to_vec());
    members.sort_by(|&a, &b| near(b).total_cmp(&near(a)).then(a.cmp(&b)));
    members.truncate(5);
    Group { size, examples: members }
}

impl WordSenses {
    /// Why there is one group; `None` where there are more.
    pub fn why_one_group(&self) -> Option<&'static str> {
        match (self.groups.len(), self.clusters, self.occurrences.len()) {
            (2.., ..) => None,
            (_, Some(_), _) => Some("no more were asked for"),
            (.., ..3) => Some("it takes three places to find more"),
            _ => Some("no two part clearly"),
        }
    }

    /// Whether the groups part no less in the embeddings, which know the place of a word in its text and nothing of what
    /// surrounds it: then they may tell places apart, and not meanings.
    pub fn may_be_by_position(&self) -> bool {
        self.layer > 0
            && matches!((self.by_layer.first(), self.silhouette), (Some(first), Some(own)) if *first >= own)
    }

    /// One HTML file with the groups, their examples, and pictures of them. It loads nothing.
    pub fn to_html(&self) -> String {
        page::senses(self)
    }
}
