//! Parameters by name, from any source to a device.

use super::Head;
use super::parameters::{LinearSpec, NormSpec, ParameterSpec};
use crate::Result;
use crate::config::ModelConfig;
use crate::contract::{Backend, LayerNorm, Linear, Precision, Tensor, upload_f32};
use crate::tensor::HostTensor;

/// Where parameters come from: a [`Checkpoint`](crate::checkpoint::Checkpoint), or numbers that an
/// [`Initial`](super::Initial) makes.
pub trait ParameterSource {
    /// The numbers of a parameter, in its shape and any float type.
    ///
    /// # Errors
    /// A parameter that is missing or has another shape.
    fn parameter(&self, spec: &ParameterSpec) -> Result<HostTensor>;

    /// The same; `None` if there is no such parameter.
    ///
    /// # Errors
    /// A parameter that has another shape.
    fn optional(&self, spec: &ParameterSpec) -> Result<Option<HostTensor>>;

    /// Whether a head may be loaded from here.
    ///
    /// # Errors
    /// [`Error::WrongHead`](crate::Error::WrongHead) if the parameters were trained for another one.
    fn check_head(&self, config: &ModelConfig, head: Head) -> Result<()> {
        let _ = (config, head);
        Ok(())
    }
}

/// What a part of the graph needs to load itself.
pub(super) struct Loader<'a, B> {
    /// Where the parameters go.
    pub backend: &'a B,
    /// How large they are.
    pub config: &'a ModelConfig,
    /// Where they come from.
    pub source: &'a dyn ParameterSource,
    /// What linear layers compute with.
    pub precision: Precision,
}

impl<B: Backend> Loader<'_, B> {
    /// Linear layers of one input as one, their outputs side by side.
    pub fn linear(&self, specs: &[LinearSpec]) -> Result<Linear<B::Buffer>> {
        let read = |of: fn(&LinearSpec) -> ParameterSpec| -> Result<Vec<HostTensor>> {
            specs.iter().map(|spec| self.source.parameter(&of(spec))).collect()
        };
        let (weights, biases) = (read(LinearSpec::weight)?, read(LinearSpec::bias)?);
        let linear = Linear::new(self.backend, &stack(&weights)?, Some(&stack(&biases)?), self.precision)?;
        // Packed by now: what was read from a mapped file need not stay in memory a second time.
        weights.iter().for_each(HostTensor::release);
        Ok(linear)
    }

    /// A linear layer whose weight is that of `table`, unless the source has one of its own.
    pub fn tied(
        &self,
        spec: &LinearSpec,
        bias: &ParameterSpec,
        table: &ParameterSpec,
    ) -> Result<Linear<B::Buffer>> {
        let weight = match self.source.optional(&spec.weight())? {
            Some(own) => own,
            None if self.config.tie_word_embeddings => self.source.parameter(table)?,
            None => self.source.parameter(&spec.weight())?, // says that it is missing
        };
        Linear::new(self.backend, &weight, Some(&self.source.parameter(bias)?), self.precision)
    }

    pub fn layer_norm(&self, spec: &NormSpec) -> Result<LayerNorm<B::Buffer>> {
        let [weight, bias] = spec.parameters();
        let (weight, bias) = (self.source.parameter(&weight)?, self.source.parameter(&bias)?);
        LayerNorm::new(self.backend, &weight, &bias, self.config.layer_norm_eps)
    }

    pub fn upload(&self, spec: &ParameterSpec) -> Result<Tensor<B>> {
        upload_f32(self.backend, &self.source.parameter(spec)?)
    }
}

fn stack(parts: &[HostTensor]) -> Result<HostTensor> {
    match parts {
        [one] => Ok(one.clone()),
        parts => HostTensor::concat_rows(&parts.iter().collect::<Vec<_>>()),
    }
}
