//! What a backward pass gives.

use std::sync::Arc;

use super::backward::TrainBackend;
use super::parameter::Parameter;
use super::tape::Collected;
use crate::Result;
use crate::contract::Tensor;

/// The gradients of a backward pass.
pub struct Gradients<B: TrainBackend>(Collected<B>);

impl<B: TrainBackend> Gradients<B> {
    pub(super) fn new(collected: Collected<B>) -> Self {
        Self(collected)
    }

    /// Adds the gradients of another batch.
    ///
    /// # Errors
    /// A device that failed.
    pub fn add(&mut self, backend: &B, other: Self) -> Result<()> {
        self.0.merge(backend, other.0)
    }

    /// That of a parameter; `None` if nothing depends on it.
    pub fn of(&self, parameter: &Arc<Parameter<B>>) -> Option<&Tensor<B>> {
        self.0.of(parameter)
    }
}
