//! What travels with every call of a forward pass.

use crate::contract::{Backend, DeviceBatch};

/// One forward pass over one batch.
pub(super) struct Pass<'a, B: Backend> {
    /// What computes.
    pub backend: &'a B,
    /// What is computed.
    pub batch: &'a DeviceBatch<B::Buffer>,
}
