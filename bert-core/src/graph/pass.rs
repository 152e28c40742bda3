//! What travels with every call of a forward pass.

use crate::Result;
use crate::contract::{Backend, DeviceBatch, Dropout, Tensor};
use crate::random::Random;

/// One forward pass over one batch.
pub(super) struct Pass<'a, B: Backend> {
    /// What computes.
    pub backend: &'a B,
    /// What is computed.
    pub batch: &'a DeviceBatch<B::Buffer>,
    /// `[tokens, hidden]`, in the place of what the embeddings give, if that is somebody else's.
    pub embedded: Option<Tensor<B>>,
    /// In training, where dropout comes from. Otherwise nothing is dropped.
    pub dropout: Option<Random>,
}

impl<B: Backend> Pass<'_, B> {
    /// What is dropped with this probability at a place of the graph, if anything is.
    pub fn dropout(&self, probability: f64, site: u64) -> Option<Dropout> {
        let random = self.dropout.filter(|_| probability > 0.0)?.numbered(site);
        Some(Dropout { probability, random })
    }

    /// `x`, or in training what is left of it.
    pub fn drop(&self, x: Tensor<B>, probability: f64, site: u64) -> Result<Tensor<B>> {
        match self.dropout(probability, site) {
            Some(dropout) => self.backend.dropout(&x, &dropout),
            None => Ok(x),
        }
    }
}
