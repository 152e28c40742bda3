//! The layer on the first token of each sequence: BERT's pooler, trained by next sentence prediction, or what a family
//! has in its place.

use super::heads::POOLER;
use super::{Head, Loader, Pass};
use crate::Result;
use crate::contract::{Activation, Backend, Linear, Tensor};

/// The layer on a device.
#[derive(Clone, Debug)]
pub(super) struct Summary<Buf> {
    /// `[hidden, hidden]`
    dense: Linear<Buf>,
    activation: Activation,
    /// Whether it is BERT's own, which is an output of its own.
    pub is_pooler: bool,
}

impl<Buf: Clone> Summary<Buf> {
    /// The one that a head begins with; `None` if it has none, and where a checkpoint lacks the pooler that only its
    /// hidden states would have: it is no part of these.
    pub fn load<B: Backend<Buffer = Buf>>(loader: &Loader<'_, B>, head: Head) -> Result<Option<Self>> {
        let Some((dense, activation)) = head.summary(loader.config) else { return Ok(None) };
        if head == Head::None && loader.source.optional(&dense.weight())?.is_none() {
            return Ok(None);
        }
        let is_pooler = dense.name == POOLER;
        Ok(Some(Self { dense: loader.linear(&[dense])?, activation, is_pooler }))
    }

    /// `[tokens, hidden]` -> `[sequences, hidden]`
    pub fn forward<B: Backend<Buffer = Buf>>(
        &self,
        pass: &Pass<'_, B>,
        hidden: &Tensor<B>,
    ) -> Result<Tensor<B>> {
        let first = pass.batch.device_bounds.slice(0, 0..pass.batch.sequences())?;
        pass.backend.linear(&pass.backend.gather_rows(hidden, &first)?, &self.dense, self.activation)
    }
}
