//! Batches without padding: sequences of 5, 90 and 12 tokens are 107 rows, never 3 × 90.

use std::ops::Range;
use std::sync::Arc;

use crate::config::ModelConfig;
use crate::tensor::HostTensor;
use crate::{Error, Result};

/// Token ids and segment ids of several sequences, end to end, where each one ends, and which tokens are marked:
/// those that a masked-LM head is to score.
///
/// ```
/// use bert_core::PackedBatch;
/// let mut batch = PackedBatch::default();
/// batch.push(&[101, 7592, 102], &[0, 0, 0]);
/// batch.push_marked(&[101, 103, 102], &[0, 0, 0], &[1]);
/// assert_eq!(batch.tokens(), 6);
/// assert_eq!(batch.sequence(1), 3..6);
/// assert_eq!(batch.marked(), [4]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedBatch {
    // Shared with what is uploaded: from here on, ids are not copied again.
    ids: Arc<Vec<u32>>,
    segments: Arc<Vec<u32>>,
    bounds: Arc<Vec<u32>>,
    marked: Arc<Vec<u32>>,
}

impl Default for PackedBatch {
    fn default() -> Self {
        Self {
            ids: Arc::default(),
            segments: Arc::default(),
            bounds: Arc::new(vec![0]),
            marked: Arc::default(),
        }
    }
}

impl PackedBatch {
    /// Appends a sequence: its token ids and, for each, the segment (0 or 1) that it belongs to.
    ///
    /// # Panics
    /// If the two differ in length, or the batch outgrows `u32`: bugs in the caller.
    pub fn push(&mut self, ids: &[u32], segments: &[u32]) {
        self.push_marked(ids, segments, &[]);
    }

    /// The same, with some tokens marked: their positions in the sequence, in rising order.
    ///
    /// # Panics
    /// As [`push`](Self::push), and if a position lies outside the sequence or out of order.
    pub fn push_marked(&mut self, ids: &[u32], segments: &[u32], marked: &[u32]) {
        assert_eq!(ids.len(), segments.len(), "each token has one segment");
        assert!(marked.is_sorted_by(|a, b| a < b), "marked tokens are in order");
        assert!(
            marked.last().is_none_or(|&last| (last as usize) < ids.len()),
            "marked tokens are in the sequence"
        );
        let start = self.bounds[self.sequences()];
        Arc::make_mut(&mut self.ids).extend(ids);
        Arc::make_mut(&mut self.segments).extend(segments);
        let end = u32::try_from(self.ids.len()).expect("a batch fits in u32");
        Arc::make_mut(&mut self.bounds).push(end);
        Arc::make_mut(&mut self.marked).extend(marked.iter().map(|position| start + position));
    }

    /// Rows in all.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// How many sequences there are.
    pub fn sequences(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Whether there is no sequence at all.
    pub fn is_empty(&self) -> bool {
        self.sequences() == 0
    }

    /// The rows of one sequence.
    pub fn sequence(&self, index: usize) -> Range<usize> {
        self.bounds[index] as usize..self.bounds[index + 1] as usize
    }

    /// `[tokens]`, indices into the word embedding table.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// `[tokens]`, indices into the token type embedding table.
    pub fn segments(&self) -> &[u32] {
        &self.segments
    }

    /// `[sequences + 1]`: sequence `i` is rows `bounds[i]..bounds[i + 1]`.
    pub fn bounds(&self) -> &[u32] {
        &self.bounds
    }

    /// Ids, segments and bounds as tensors for an upload, and the marked rows if there are any, without a copy.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = HostTensor> + '_ {
        let marked = Some(&self.marked).filter(|marked| !marked.is_empty());
        [&self.ids, &self.segments, &self.bounds].into_iter().chain(marked).map(HostTensor::shared)
    }

    /// The rows of each sequence.
    pub fn sequence_rows(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.bounds.windows(2).map(|pair| pair[0] as usize..pair[1] as usize)
    }

    /// `[marked]`, the rows of marked tokens, in rising order.
    pub fn marked(&self) -> &[u32] {
        &self.marked
    }

    /// Which of the marked rows belong to one sequence.
    pub fn marked_rows(&self, index: usize) -> Range<usize> {
        let before = |bound: u32| self.marked.partition_point(|&row| row < bound);
        before(self.bounds[index])..before(self.bounds[index + 1])
    }

    /// Makes sure that every index lies inside the tables of a model, so that no backend has to look.
    ///
    /// # Errors
    /// [`Error::Batch`] names the first sequence that is empty, too long, or holds an id or a segment that
    /// the model does not know.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        for (sequence, rows) in self.sequence_rows().enumerate() {
            let fail = |what, found, limit| Err(Error::Batch { sequence, what, found, limit });
            if rows.is_empty() || rows.len() > config.max_tokens() {
                let limit = format!("1 to {} tokens", config.max_tokens());
                return fail("length", rows.len(), limit);
            }
            if let Some(&id) = self.ids[rows.clone()].iter().find(|&&id| id as usize >= config.vocab_size) {
                return fail("token id", id as usize, format!("ids below {}", config.vocab_size));
            }
            // A model without segment embeddings ignores them.
            let types = if config.type_vocab_size == 0 { usize::MAX } else { config.type_vocab_size };
            if let Some(&id) = self.segments[rows].iter().find(|&&id| id as usize >= types) {
                return fail("segment id", id as usize, format!("segments below {types}"));
            }
        }
        Ok(())
    }
}
