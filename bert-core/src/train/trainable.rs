//! A model whose parameters an optimiser moves.

use std::sync::Arc;

use super::adapter::{Adapter, Lora};
use super::autodiff::Autodiff;
use super::backward::TrainBackend;
use super::gradients::Gradients;
use super::optimiser::{AdamStep, AdamW};
use super::parameter::{Node, Parameter};
use super::parts::{Part, join, split};
use crate::config::ModelConfig;
use crate::contract::{Backend, BinaryOp, Precision, Tensor, upload_f32};
use crate::graph::{Encoder, Head, Model, Output, ParameterSource, ParameterSpec};
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
    recomputes: bool,
}

/// Parameters that lie in one tensor, and the moments of that tensor.
struct Slot<B: TrainBackend> {
    parts: Vec<Part>,
    parameter: Arc<Parameter<B>>,
    /// What the rate of a step is multiplied with; 0 is frozen.
    rate: f64,
    moments: Option<[Tensor<B>; 2]>,
}

impl<B: TrainBackend> Slot<B> {
    fn new(parts: Vec<Part>, parameter: Arc<Parameter<B>>) -> Self {
        Self { parts, parameter, rate: 1.0, moments: None }
    }
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
            Node::Parameter(parameter) => Slot::new(Part::stacked(specs), parameter),
            other => unreachable!("{other:?} was loaded as a parameter"),
        };
        Ok(Self { model, slots: loaded.into_iter().map(slot).collect(), recomputes: false })
    }

    /// Whether passes from now on keep little for the way back and make the rest again: of each layer its two sums of
    /// residuals, a fifth of what is kept otherwise. A step takes about a fifth longer and gives the same bits.
    pub fn set_recompute(&mut self, recompute: bool) {
        self.recomputes = recompute;
    }

    /// Puts low-rank adapters beside the weights of some linear layers, which go on to train unless they are
    /// [frozen](Self::set_rates). The matrices come from `source`, under the names of [`lora`](crate::graph::lora). A
    /// tied decoder is no linear layer of its own. Gives the names of the layers' weights.
    ///
    /// # Errors
    /// A matrix that is missing or has another shape; a device that failed.
    pub fn adapt(
        &mut self,
        lora: Lora,
        source: &dyn ParameterSource,
        targets: impl Fn(&ParameterSpec) -> bool,
    ) -> Result<Vec<String>> {
        let backend = self.backend().clone();
        let (mut adapted, mut slots) = (vec![], vec![]);
        for (number, slot) in self.slots.iter().enumerate() {
            let Ok(shape) = <[usize; 2]>::try_from(&slot.parameter.shape()[..]) else { continue };
            let number = number as u64;
            let adapter = Adapter::new(&backend, lora, number, &slot.parts, shape, source, &targets)?;
            let Some((adapter, [a, b])) = adapter else { continue };
            let names = slot.parts.iter().filter(|part| targets(&part.spec));
            adapted.extend(names.map(|part| part.spec.name.clone()));
            slots.push(Slot::new(a, adapter.a.clone()));
            slots.push(Slot::new(b, adapter.b.clone()));
            slot.parameter.adapt(adapter);
        }
        self.slots.extend(slots);
        Ok(adapted)
    }

    /// Gives each parameter a rate of its own: what the rate of a step is multiplied with. A parameter with 0 is frozen:
    /// it has no gradient and no moments, and what only its gradient needs is not computed. All begin with 1.
    ///
    /// # Errors
    /// [`Error::Gradient`] for different rates of a layer's query, key and value, which are one matrix.
    pub fn set_rates(&mut self, rate: impl Fn(&ParameterSpec) -> f64) -> Result<()> {
        for slot in &mut self.slots {
            slot.rate = rate(&slot.parts[0].spec);
            if slot.parts.iter().any(|part| rate(&part.spec) != slot.rate) {
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
        self.model.backend().begin(dropout, self.recomputes);
        self.model.forward_with(batch, outputs, None, dropout)
    }

    /// Computes outputs from `embedded [tokens, hidden]`, in the place of what the embeddings give (hidden state 0), and
    /// gives it as the parameter that it counts as: after [`backward`](Self::backward), [`Gradients::of`] has its gradient.
    /// What the embeddings would have made of the tokens of `batch` plays no part. Freeze all parameters first
    /// ([`set_rates`](Self::set_rates)), unless their gradients are wanted too.
    ///
    /// # Errors
    /// As [`Encoder::run`](crate::graph::Encoder::run); [`Error::Shape`] for another shape.
    #[expect(clippy::type_complexity, reason = "a parameter and results")]
    pub fn forward_from(
        &self,
        batch: &PackedBatch,
        embedded: &HostTensor,
        outputs: &[Output],
    ) -> Result<(Arc<Parameter<B>>, Vec<Tensor<Autodiff<B>>>)> {
        let expected = [batch.tokens(), self.model.config().hidden_size];
        if embedded.shape()[..] != expected {
            let (expected, found) = (format!("{expected:?}"), embedded.shape()[..].to_vec());
            return Err(Error::Shape { op: "forward_from", expected, found });
        }
        let backend = self.model.backend();
        backend.begin(None, self.recomputes);
        let embedded = backend.upload(embedded)?;
        let Node::Parameter(parameter) = embedded.buffer().clone() else {
            return Err(Error::Gradient { word: "forward_from", reason: "its numbers are floats" });
        };
        Ok((parameter, self.model.forward_with(batch, outputs, Some(embedded), None)?))
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
        self.model.backend().backward(seeds, None)
    }

    /// The same, added to the gradients of other batches of the step, in place where the backend can.
    ///
    /// # Errors
    /// As [`backward`](Self::backward).
    pub fn accumulate(
        &self,
        seeds: &[(Tensor<Autodiff<B>>, Tensor<B>)],
        before: Option<Gradients<B>>,
    ) -> Result<Gradients<B>> {
        self.model.backend().backward(seeds, before)
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
            let decays = slot.parts[0].spec.kind.decays();
            let [mean, square] = match &mut slot.moments {
                Some(moments) => moments,
                none => {
                    // Not made of the gradient, whose memory fits a short life.
                    let shape = gradient.shape();
                    let zero = || backend.upload(&HostTensor::from_vec(vec![0f32; shape.elements()], shape));
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
        let view = |slot: &Slot<B>| -> Result<Tensor<B>> {
            let master = slot.parameter.master();
            match gradients {
                Some(gradients) => match gradients.of(&slot.parameter) {
                    Some(gradient) => Ok(gradient.clone()),
                    None => backend.zip(BinaryOp::Sub, &master, &master), // 0
                },
                None => Ok(master),
            }
        };
        self.named(&self.slots.iter().collect::<Vec<_>>(), view).await
    }

    /// The values of the parameters that train, each under its own name.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn trained(&self) -> Result<Vec<(ParameterSpec, HostTensor)>> {
        let slots: Vec<_> = self.slots.iter().filter(|slot| slot.parameter.trains()).collect();
        self.named(&slots, |slot| Ok(slot.parameter.master())).await
    }

    /// What there is of each slot, by the names of its parameters.
    async fn named(
        &self,
        slots: &[&Slot<B>],
        view: impl Fn(&Slot<B>) -> Result<Tensor<B>>,
    ) -> Result<Vec<(ParameterSpec, HostTensor)>> {
        let views = slots.iter().map(|slot| view(slot)).collect::<Result<Vec<_>>>()?;
        let tensors = self.backend().download(&views).await?;
        let mut named = vec![];
        for (slot, tensor) in slots.iter().zip(&tensors) {
            named.extend(split(&slot.parts, tensor)?);
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
        let slots: Vec<_> = self.slots.iter().filter(|slot| slot.moments.is_some()).collect();
        let of = |which: usize| {
            self.named(&slots, move |slot| Ok(slot.moments.as_ref().expect("only these")[which].clone()))
        };
        Ok([of(0).await?, of(1).await?])
    }

    /// Goes on from moments that were saved. A parameter without some has none yet.
    ///
    /// # Errors
    /// Moments of another shape; a device that failed.
    pub fn restore_moments(&mut self, [mean, square]: [&dyn ParameterSource; 2]) -> Result<()> {
        let backend = self.backend().clone();
        for slot in &mut self.slots {
            let read = |source: &dyn ParameterSource| -> Result<Option<Tensor<B>>> {
                let tensors = slot.parts.iter().map(|part| source.optional(&part.spec));
                let Some(tensors) = tensors.collect::<Result<Option<Vec<_>>>>()? else { return Ok(None) };
                let joined = join(&slot.parts, &tensors, slot.parameter.shape())?;
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
