//! A model whose parameters an optimiser moves.

use std::sync::Arc;

use super::autodiff::Autodiff;
use super::backward::TrainBackend;
use super::gradients::Gradients;
use super::optimiser::{AdamStep, AdamW};
use super::parameter::{Node, Parameter};
use crate::config::ModelConfig;
use crate::contract::{BinaryOp, Precision, Tensor, UnaryOp, upload_f32};
use crate::graph::{Head, Model, Output, ParameterSource, ParameterSpec};
use crate::packed::PackedBatch;
use crate::random::Random;
use crate::tensor::HostTensor;
use crate::{Error, Result};

/// A model for training: masters of its parameters in `f32`, and the moments of the optimiser.
///
/// ```
/// use bert_core::contract::Precision;
/// use bert_core::graph::{Head, Initial, Output};
/// use bert_core::reference::Reference;
/// use bert_core::train::{AdamStep, AdamW, Trainable, loss};
/// use bert_core::{ModelConfig, PackedBatch};
///
/// let config = r#"{"vocab_size": 20, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1,
///     "intermediate_size": 16, "max_position_embeddings": 8}"#;
/// let config = ModelConfig::from_json(config)?;
/// let head = Head::SequenceClassification;
/// let mut model = Trainable::new(Reference, config, &Initial::new(1, 0.1), head, Precision::F32)?;
/// let mut batch = PackedBatch::default();
/// batch.push(&[2, 5, 3], &[0; 3]);
/// batch.push(&[2, 7, 9, 3], &[0; 4]);
/// let mut losses = vec![];
/// for number in 1..=5 {
///     let scores = model.forward(&batch, &[Output::Scores(head)], None)?.remove(0);
///     let loss = loss::classes(&Reference, &model.value(&scores), &[Some(0), Some(1)], 0.0)?;
///     losses.push(pollster::block_on(loss.value(&Reference))?);
///     let gradients = model.backward(&[(scores, loss.gradient)])?;
///     model.step(&gradients, &AdamW::default(), &AdamStep { number, rate: 1e-2, scale: 1.0 })?;
/// }
/// assert!(losses[4] < losses[0]);
/// # Ok::<(), bert_core::Error>(())
/// ```
pub struct Trainable<B: TrainBackend> {
    model: Model<Autodiff<B>>,
    slots: Vec<Slot<B>>,
}

/// Parameters that lie in one tensor, below one another, and the moments of that tensor.
struct Slot<B: TrainBackend> {
    specs: Vec<ParameterSpec>,
    parameter: Arc<Parameter<B>>,
    /// What the rate of a step is multiplied with; 0 is frozen.
    rate: f64,
    moments: Option<[Tensor<B>; 2]>,
}

impl<B: TrainBackend> Trainable<B> {
    /// Loads a model for training. Linear layers compute in `precision`; masters, gradients and moments are `f32`.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn new(
        backend: B,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> Result<Self> {
        let (model, loaded) =
            Model::load_for_training(Autodiff::new(backend), config, source, head, precision)?;
        let slot = |(specs, buffer)| match buffer {
            Node::Parameter(parameter) => Slot { specs, parameter, rate: 1.0, moments: None },
            other => unreachable!("{other:?} was loaded as a parameter"),
        };
        Ok(Self { model, slots: loaded.into_iter().map(slot).collect() })
    }

    /// Gives each parameter a rate of its own: what the rate of a step is multiplied with. A parameter with 0 is frozen:
    /// it has no gradient and no moments, and what only its gradient needs is not computed. All begin with 1.
    ///
    /// # Errors
    /// [`Error::Gradient`] for different rates of a layer's query, key and value, which are one matrix.
    pub fn set_rates(&mut self, rate: impl Fn(&ParameterSpec) -> f64) -> Result<()> {
        for slot in &mut self.slots {
            slot.rate = rate(&slot.specs[0]);
            if slot.specs.iter().any(|spec| rate(spec) != slot.rate) {
                let reason = "query, key and value of a layer are one matrix and have one rate";
                return Err(Error::Gradient { word: "linear", reason });
            }
            slot.parameter.set_trains(slot.rate != 0.0);
        }
        Ok(())
    }

    /// The model.
    pub fn model(&self) -> &Model<Autodiff<B>> {
        &self.model
    }

    /// What computes.
    pub fn backend(&self) -> &B {
        self.model.backend().backend()
    }

    /// Computes outputs, and remembers how. With `dropout`, numbers are dropped as the configuration says; give each
    /// step and each batch of it a stream of its own.
    ///
    /// # Errors
    /// As [`Encoder::run`](crate::graph::Encoder::run).
    pub fn forward(
        &self,
        batch: &PackedBatch,
        outputs: &[Output],
        dropout: Option<Random>,
    ) -> Result<Vec<Tensor<Autodiff<B>>>> {
        self.model.backend().forget();
        self.model.forward_with(batch, outputs, dropout)
    }

    /// The numbers of a result.
    pub fn value(&self, x: &Tensor<Autodiff<B>>) -> Tensor<B> {
        self.model.backend().value(x)
    }

    /// The gradients of all parameters that train, given those of some results of the last forward pass.
    ///
    /// # Errors
    /// [`Error::Gradient`] for a word that has no rule; a device that failed.
    pub fn backward(&self, seeds: &[(Tensor<Autodiff<B>>, Tensor<B>)]) -> Result<Gradients<B>> {
        self.model.backend().backward(seeds)
    }

    /// The root of the sum of the squares of all gradients.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn gradient_norm(&self, gradients: &Gradients<B>) -> Result<f64> {
        let backend = self.backend();
        let parts = self.slots.iter().filter_map(|slot| gradients.of(&slot.parameter));
        let parts = parts.map(|gradient| backend.squares(gradient)).collect::<Result<Vec<_>>>()?;
        let sums = backend.download(&parts).await?;
        let mut sum = 0.0;
        for part in &sums {
            sum += part.to_f64()?.sum();
        }
        Ok(sum.sqrt())
    }

    /// Moves every parameter that has a gradient.
    ///
    /// # Errors
    /// A device that failed.
    pub fn step(&mut self, gradients: &Gradients<B>, options: &AdamW, step: &AdamStep) -> Result<()> {
        let backend = self.model.backend().backend().clone();
        for slot in &mut self.slots {
            let Some(gradient) = gradients.of(&slot.parameter) else { continue };
            let decays = slot.specs[0].kind.decays();
            let [mean, square] = match &mut slot.moments {
                Some(moments) => moments,
                none => {
                    let zero = || backend.map(UnaryOp::Scale(0.0), gradient);
                    none.insert([zero()?, zero()?])
                }
            };
            let step = AdamStep { rate: step.rate * slot.rate, ..*step };
            slot.parameter
                .step(|master| backend.adamw(options, &step, decays, [master, mean, square], gradient))?;
        }
        Ok(())
    }

    /// The gradients, or with `None` the values, of all parameters, each under its own name.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn download(
        &self,
        gradients: Option<&Gradients<B>>,
    ) -> Result<Vec<(ParameterSpec, HostTensor)>> {
        let backend = self.backend();
        let mut views = vec![];
        for slot in &self.slots {
            let zero = || {
                let master = slot.parameter.master();
                backend.zip(BinaryOp::Sub, &master, &master)
            };
            views.push(match gradients {
                Some(gradients) => gradients.of(&slot.parameter).cloned().map_or_else(zero, Ok)?,
                None => slot.parameter.master(),
            });
        }
        let tensors = backend.download(&views).await?;
        let mut named = vec![];
        for (slot, tensor) in self.slots.iter().zip(&tensors) {
            named.extend(split(&slot.specs, tensor)?);
        }
        Ok(named)
    }
}

impl<B: TrainBackend> Trainable<B> {
    /// The moments of the optimiser, the mean of gradients and the mean of their squares, each under the name of its
    /// parameter; nothing before the first step.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn moments(&self) -> Result<[Vec<(ParameterSpec, HostTensor)>; 2]> {
        let slots: Vec<_> =
            self.slots.iter().filter_map(|slot| Some((slot, slot.moments.as_ref()?))).collect();
        let mut all = [vec![], vec![]];
        for (which, named) in all.iter_mut().enumerate() {
            let views: Vec<_> = slots.iter().map(|(_, moments)| moments[which].clone()).collect();
            for ((slot, _), tensor) in slots.iter().zip(&self.backend().download(&views).await?) {
                named.extend(split(&slot.specs, tensor)?);
            }
        }
        Ok(all)
    }

    /// Goes on from moments that were saved. A parameter without some has none yet.
    ///
    /// # Errors
    /// Moments of another shape; a device that failed.
    pub fn restore_moments(&mut self, [mean, square]: [&dyn ParameterSource; 2]) -> Result<()> {
        let backend = self.backend().clone();
        for slot in &mut self.slots {
            let read = |source: &dyn ParameterSource| -> Result<Option<Tensor<B>>> {
                let parts: Option<Vec<_>> =
                    slot.specs.iter().map(|spec| source.optional(spec)).collect::<Result<_>>()?;
                let Some(parts) = parts else { return Ok(None) };
                let joined = match &parts[..] {
                    [one] => one.clone(),
                    parts => HostTensor::concat_rows(&parts.iter().collect::<Vec<_>>())?,
                };
                Ok(Some(upload_f32(&backend, &joined)?))
            };
            slot.moments = match (read(mean)?, read(square)?) {
                (Some(mean), Some(square)) => Some([mean, square]),
                _ => None,
            };
        }
        Ok(())
    }
}

/// The rows of a tensor that belong to each of its parameters.
fn split(specs: &[ParameterSpec], tensor: &HostTensor) -> Result<Vec<(ParameterSpec, HostTensor)>> {
    let (mut start, mut parts) = (0, vec![]);
    for spec in specs {
        let end = start + spec.shape.len();
        let part = match (tensor.as_slice::<f64>(), tensor.as_slice::<f32>()) {
            (Some(values), _) => HostTensor::from_vec(values[start..end].to_vec(), spec.shape),
            (_, Some(values)) => HostTensor::from_vec(values[start..end].to_vec(), spec.shape),
            _ => return Err(Error::DType { op: "split", expected: "floats", found: tensor.dtype() }),
        };
        parts.push((spec.clone(), part));
        start = end;
    }
    Ok(parts)
}
