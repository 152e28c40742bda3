//! Parameters by name, from a checkpoint to a device.

use crate::Result;
use crate::backend::Backend;
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::ops::Precision;
use crate::tensor::{HostTensor, View};
use crate::weights::{LayerNorm, Linear, upload_f32};

/// What a part of the graph needs to load itself.
pub struct Loader<'a, B> {
    /// Where the parameters go.
    pub backend: &'a B,
    /// How large they are.
    pub config: &'a ModelConfig,
    /// Where they come from.
    pub checkpoint: &'a Checkpoint,
    /// What linear layers compute with.
    pub precision: Precision,
}

impl<B: Backend> Loader<'_, B> {
    /// The linear layer `{name}.weight [outputs, inputs]` and `{name}.bias [outputs]`.
    pub(super) fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear<B::Buffer>> {
        self.stacked_linear(&[name], outputs, inputs)
    }

    /// Several linear layers of one input as one, their outputs side by side.
    pub(super) fn stacked_linear(
        &self,
        names: &[&str],
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear<B::Buffer>> {
        let part = |suffix: &str, shape: &[usize]| -> Result<Vec<HostTensor>> {
            names.iter().map(|name| self.checkpoint.tensor(&format!("{name}.{suffix}"), shape)).collect()
        };
        let weights = part("weight", &[outputs, inputs])?;
        let biases = part("bias", &[outputs])?;
        let linear = Linear::new(self.backend, &stack(&weights)?, Some(&stack(&biases)?), self.precision)?;
        // Packed by now: what was read from a mapped file need not stay in memory a second time.
        weights.iter().for_each(HostTensor::release);
        Ok(linear)
    }

    /// The LayerNorm `{name}.weight` and `{name}.bias`, both `[hidden]`.
    pub(super) fn layer_norm(&self, name: &str) -> Result<LayerNorm<B::Buffer>> {
        let shape = [self.config.hidden_size];
        let weight = self.checkpoint.tensor(&format!("{name}.weight"), &shape)?;
        let bias = self.checkpoint.tensor(&format!("{name}.bias"), &shape)?;
        LayerNorm::new(self.backend, &weight, &bias, self.config.layer_norm_eps)
    }

    /// The table `{name}.weight [rows, hidden]`.
    pub(super) fn table(&self, name: &str, rows: usize) -> Result<View<B::Buffer>> {
        let table = self.checkpoint.tensor(&format!("{name}.weight"), &[rows, self.config.hidden_size])?;
        upload_f32(self.backend, &table)
    }
}

fn stack(parts: &[HostTensor]) -> Result<HostTensor> {
    match parts {
        [one] => Ok(one.clone()),
        parts => HostTensor::concat_rows(&parts.iter().collect::<Vec<_>>()),
    }
}
