//! Parameters by name, from any source to a device.

use std::cell::RefCell;

use super::Head;
use super::parameters::{LinearSpec, NormSpec, ParameterSpec, words};
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

/// What training needs to know of a model that is loaded.
pub(super) struct Training<B: Backend> {
    /// The word embeddings, which a tied decoder shares.
    pub words: RefCell<Option<Tensor<B>>>,
    /// What was loaded: parameters that lie below one another in one buffer.
    pub loaded: RefCell<Vec<Loaded<B::Buffer>>>,
}

/// Parameters below one another, and the buffer that holds them.
pub(crate) type Loaded<Buf> = (Vec<ParameterSpec>, Buf);

/// What a part of the graph needs to load itself.
pub(super) struct Loader<'a, B: Backend> {
    /// Where the parameters go.
    pub backend: &'a B,
    /// How large they are.
    pub config: &'a ModelConfig,
    /// Where they come from.
    pub source: &'a dyn ParameterSource,
    /// What linear layers compute with.
    pub precision: Precision,
    /// What is written down on the way, if the model is to be trained.
    pub training: Option<&'a Training<B>>,
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
        self.loaded(|| specs.iter().map(LinearSpec::weight).collect(), &linear.weight);
        if let Some(bias) = &linear.bias {
            self.loaded(|| specs.iter().map(LinearSpec::bias).collect(), bias.buffer());
        }
        Ok(linear)
    }

    /// A linear layer whose weight is that of `table`, unless the source has one of its own.
    pub fn tied(
        &self,
        spec: &LinearSpec,
        bias: &ParameterSpec,
        table: &ParameterSpec,
    ) -> Result<Linear<B::Buffer>> {
        let ties = self.config.tie_word_embeddings;
        let weight = match self.source.optional(&spec.weight())? {
            Some(own) => own,
            None if ties => self.source.parameter(table)?,
            None => self.source.parameter(&spec.weight())?, // says that it is missing
        };
        let values = self.source.parameter(bias)?;
        let mut linear = Linear::new(self.backend, &weight, Some(&values), self.precision)?;
        let shared = self.training.and_then(|training| training.words.borrow().clone());
        match shared.filter(|_| ties) {
            // In training, what is tied is one parameter.
            Some(words) if weight.bytes() == self.source.parameter(table)?.bytes() => {
                linear.weight = self.backend.prepare_weight((&words).into(), self.precision)?;
            }
            _ => self.loaded(|| vec![spec.weight()], &linear.weight),
        }
        if let Some(view) = &linear.bias {
            self.loaded(|| vec![bias.clone()], view.buffer());
        }
        Ok(linear)
    }

    pub fn layer_norm(&self, spec: &NormSpec) -> Result<LayerNorm<B::Buffer>> {
        let [weight, bias] = spec.parameters();
        let (weight, bias) = (self.source.parameter(&weight)?, self.source.parameter(&bias)?);
        let norm = LayerNorm::new(self.backend, &weight, &bias, self.config.layer_norm_eps)?;
        let [weight, bias] = spec.parameters();
        self.loaded(|| vec![weight], norm.weight.buffer());
        self.loaded(|| vec![bias], norm.bias.buffer());
        Ok(norm)
    }

    pub fn upload(&self, spec: &ParameterSpec) -> Result<Tensor<B>> {
        let table = upload_f32(self.backend, &self.source.parameter(spec)?)?;
        self.loaded(|| vec![spec.clone()], table.buffer());
        if let Some(training) = self.training.filter(|_| *spec == words(self.config)) {
            *training.words.borrow_mut() = Some(table.clone());
        }
        Ok(table)
    }

    /// Writes down where parameters are, if somebody wants to know.
    fn loaded(&self, specs: impl FnOnce() -> Vec<ParameterSpec>, buffer: &B::Buffer) {
        if let Some(training) = self.training {
            training.loaded.borrow_mut().push((specs(), buffer.clone()));
        }
    }
}

fn stack(parts: &[HostTensor]) -> Result<HostTensor> {
    match parts {
        [one] => Ok(one.clone()),
        parts => HostTensor::concat_rows(&parts.iter().collect::<Vec<_>>()),
    }
}
