//! What a backward pass gives.

use std::sync::Arc;

use super::backward::TrainBackend;
use super::parameter::Parameter;
use super::tape::Collected;
use crate::contract::Tensor;

/// The gradients of a backward pass.
pub struct Gradients<B: TrainBackend>(Collected<B>);

impl<B: TrainBackend> Gradients<B> {
    pub(super) fn new(collected: Collected<B>) -> Self {
        Self(collected)
    }

    pub(super) fn into_collected(self) -> Collected<B> {
        self.0
    }

    /// That of a parameter; `None` if nothing depends on it.
    pub fn of(&self, parameter: &Arc<Parameter<B>>) -> Option<&Tensor<B>> {
        self.0.of(parameter)
    }
}
