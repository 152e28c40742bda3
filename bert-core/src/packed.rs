//! Batches without padding: sequences of 5, 90 and 12 tokens are 107 rows, never 3 × 90.

use std::sync::Arc;

use crate::backend::Backend;
use crate::config::ModelConfig;
use crate::tensor::{HostTensor, View};
use crate::{Error, Result};

/// Token ids, segment ids and positions of several sequences, end to end, and where each one ends.
///
/// ```
/// use bert_core::PackedBatch;
/// let mut batch = PackedBatch::default();
/// batch.push(&[101, 7592, 102], &[0, 0, 0]);
/// batch.push(&[101, 102], &[0, 0]);
/// assert_eq!(batch.tokens(), 5);
/// assert_eq!(batch.sequence(1), 3..5);
/// assert_eq!(batch.positions(), [0, 1, 2, 0, 1]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedBatch {
    ids: Vec<u32>,
    segments: Vec<u32>,
    positions: Vec<u32>,
    bounds: Vec<u32>,
}

impl Default for PackedBatch {
    fn default() -> Self {
        Self { ids: vec![], segments: vec![], positions: vec![], bounds: vec![0] }
    }
}

impl PackedBatch {
    /// Appends a sequence: its token ids and, for each, the segment (0 or 1) that it belongs to.
    ///
    /// # Panics
    /// If the two differ in length, or the batch outgrows `u32`: bugs in the caller.
    pub fn push(&mut self, ids: &[u32], segments: &[u32]) {
        assert_eq!(ids.len(), segments.len(), "each token has one segment");
        self.ids.extend(ids);
        self.segments.extend(segments);
        let length = u32::try_from(ids.len()).expect("a sequence fits in u32");
        self.positions.extend(0..length);
        self.bounds.push(u32::try_from(self.ids.len()).expect("a batch fits in u32"));
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
    pub fn sequence(&self, index: usize) -> std::ops::Range<usize> {
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

    /// `[tokens]`, counted from 0 in each sequence.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// `[sequences + 1]`: sequence `i` is rows `bounds[i]..bounds[i + 1]`.
    pub fn bounds(&self) -> &[u32] {
        &self.bounds
    }

    /// Makes sure that every index lies inside the tables of a model, so that no backend has to look.
    ///
    /// # Errors
    /// [`Error::Batch`] names the first sequence that is empty, too long, or holds an id or a segment that
    /// the model does not know.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        for sequence in 0..self.sequences() {
            let rows = self.sequence(sequence);
            let fail = |what, found, limit| Err(Error::Batch { sequence, what, found, limit });
            if rows.is_empty() || rows.len() > config.max_position_embeddings {
                let limit = format!("1 to {} tokens", config.max_position_embeddings);
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

/// A [`PackedBatch`] on a device. The bounds are kept on the host too, since loops over sequences are
/// driven from there.
#[derive(Clone, Debug)]
pub struct DeviceBatch<Buf> {
    /// `[tokens]` of `u32`
    pub ids: View<Buf>,
    /// `[tokens]` of `u32`
    pub segments: View<Buf>,
    /// `[tokens]` of `u32`
    pub positions: View<Buf>,
    /// `[sequences + 1]` of `u32`
    pub device_bounds: View<Buf>,
    /// The same numbers on the host.
    pub bounds: Arc<[u32]>,
}

impl<Buf: Clone> DeviceBatch<Buf> {
    /// Uploads a batch, after [`PackedBatch::check`].
    ///
    /// # Errors
    /// What the check or the upload say.
    pub fn new<B: Backend<Buffer = Buf>>(
        backend: &B,
        batch: &PackedBatch,
        config: &ModelConfig,
    ) -> Result<Self> {
        batch.check(config)?;
        let upload = |values: &[u32]| backend.upload(&HostTensor::from_vec(values.to_vec(), [values.len()]));
        Ok(Self {
            ids: upload(batch.ids())?,
            segments: upload(batch.segments())?,
            positions: upload(batch.positions())?,
            device_bounds: upload(batch.bounds())?,
            bounds: batch.bounds().into(),
        })
    }

    /// Rows in all.
    pub fn tokens(&self) -> usize {
        self.bounds[self.sequences()] as usize
    }

    /// How many sequences there are.
    pub fn sequences(&self) -> usize {
        self.bounds.len() - 1
    }

    /// The lengths of the sequences, in tokens.
    pub fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.bounds.windows(2).map(|pair| (pair[1] - pair[0]) as usize)
    }
}
