//! A model in training on a device whose backend was chosen at run time.

use std::collections::HashMap;

use bert_core::PackedBatch;
use bert_core::contract::{Tensor, UnaryOp};
use bert_core::graph::{Encoder, Head, Output, ParameterSource, ParameterSpec};
use bert_core::random::Random;
use bert_core::tensor::HostTensor;
use bert_core::train::{AdamStep, AdamW, Autodiff, Gradients, TrainBackend, Trainable, clip};

use super::Vectors;
use super::plan::Plan;
use super::target::{Target, TrainingExample, loss};
use super::vectors::vector_loss;
use crate::Result;
use crate::wait::wait;

/// The face of [`Trainable`] that fits in a `Box`.
pub(crate) trait Engine {
    /// Adds the gradients of a batch to those of the step. `terms` says over how many terms each head's loss is
    /// averaged in the whole step. With `dropout`, numbers are dropped as the configuration says. Gives the batch's share
    /// of the loss.
    fn accumulate(
        &mut self,
        batch: &PackedBatch,
        targets: &[&Target],
        terms: &Terms,
        dropout: Option<Random>,
    ) -> Result<f64>;

    /// Adds the gradients of all batches of a step, whose texts are compared with one another by their vectors. Gives
    /// the loss.
    fn accumulate_vectors(&mut self, batches: &[Batch<'_>], vectors: &Vectors) -> Result<f64>;

    /// Whether steps from now on keep little and make the rest again.
    fn set_recompute(&mut self, recompute: bool);

    /// The norm of the gradients so far.
    fn norm(&self) -> Result<f64>;

    /// Moves the parameters by the gradients so far, and begins anew.
    fn step(&mut self, adam: &AdamW, number: u64, rate: f64, most: f64, norm: f64) -> Result<()>;

    /// Computes outputs.
    fn run(&self, batch: &PackedBatch, outputs: &[Output]) -> Result<Vec<HostTensor>>;

    /// All parameters.
    fn parameters(&self) -> Result<Named>;

    /// The parameters that train.
    fn trained(&self) -> Result<Named>;

    /// Begins to train what a plan says, from these numbers.
    fn follow(&mut self, plan: &Plan, source: &dyn ParameterSource) -> Result<()>;

    /// The moments of the optimiser.
    fn moments(&self) -> Result<[Named; 2]>;

    /// Goes on from saved moments.
    fn restore_moments(&mut self, moments: [&dyn ParameterSource; 2]) -> Result<()>;
}

/// Examples that are computed at a time.
pub(crate) struct Batch<'a> {
    pub packed: PackedBatch,
    pub targets: Vec<&'a Target>,
    /// Where dropped numbers come from.
    pub dropout: Option<Random>,
}

impl<'a> Batch<'a> {
    pub fn new(examples: &'a [TrainingExample], dropout: Option<Random>) -> Self {
        let mut packed = PackedBatch::default();
        for sequence in examples.iter().flat_map(|example| &example.sequences) {
            packed.push_marked(&sequence.ids, &sequence.segments, &sequence.masked);
        }
        Self { packed, targets: examples.iter().map(|example| &example.target).collect(), dropout }
    }
}

/// Tensors under the names of their parameters.
pub(crate) type Named = Vec<(ParameterSpec, HostTensor)>;

/// Waits for the device.
fn ready<T>(future: impl Future<Output = bert_core::Result<T>>) -> Result<T> {
    wait(async { Ok(future.await?) })
}

/// How many terms the loss of each head has.
pub(crate) type Terms = HashMap<Head, usize>;

/// A model and the gradients of the step so far.
pub(crate) struct Typed<B: TrainBackend> {
    model: Trainable<B>,
    head: Head,
    gradients: Option<Gradients<B>>,
}

impl<B: TrainBackend> Typed<B> {
    pub fn new(model: Trainable<B>, head: Head) -> Self {
        Self { model, head, gradients: None }
    }

    /// Adds to the gradients of the step, given those of some results of the last forward pass.
    fn backward(&mut self, seeds: &[(Tensor<Autodiff<B>>, Tensor<B>)]) -> Result<()> {
        self.gradients = Some(self.model.accumulate(seeds, self.gradients.take())?);
        Ok(())
    }
}

impl<B: TrainBackend> Engine for Typed<B> {
    fn accumulate(
        &mut self,
        batch: &PackedBatch,
        targets: &[&Target],
        terms: &Terms,
        dropout: Option<Random>,
    ) -> Result<f64> {
        // Heads without a term in this batch are not asked: there may be no masked word in it.
        let mut asked = vec![];
        for &head in self.head.parts() {
            let own: usize = targets.iter().map(|target| target.terms(head)).sum();
            if own > 0 {
                asked.push((head, own as f64 / terms[&head] as f64));
            }
        }
        let outputs: Vec<_> = asked.iter().map(|&(head, _)| Output::Scores(head)).collect();
        if outputs.is_empty() {
            return Ok(0.0);
        }
        let backend = self.model.backend().clone();
        let scores = self.model.forward(batch, &outputs, dropout)?;
        let (mut seeds, mut sum) = (vec![], 0.0);
        for (scores, (head, share)) in scores.into_iter().zip(asked) {
            let loss = loss(&backend, head, &self.model.value(&scores), batch, targets)?;
            sum += share * ready(loss.value(&backend))?;
            seeds.push((scores, backend.map(UnaryOp::Scale(share), &loss.gradient)?));
        }
        self.backward(&seeds)?;
        Ok(sum)
    }

    /// Where there are several batches, only their vectors are kept at first. From these follow the loss and its
    /// gradients, and with them each batch is computed a second time, so that memory holds the steps of one batch and
    /// yet each text is compared with all others. Source: "Scaling Deep Contrastive Learning Batch Size under Memory
    /// Limited Setup" (Gao et al., 2021).
    fn accumulate_vectors(&mut self, batches: &[Batch<'_>], vectors: &Vectors) -> Result<f64> {
        let backend = self.model.backend().clone();
        let forward = |model: &Trainable<B>, batch: &Batch<'_>| {
            let mut results =
                model.forward(&batch.packed, &[Output::Pooled(vectors.pooling)], batch.dropout)?;
            Ok::<_, crate::Error>(results.remove(0))
        };
        if let [batch] = batches {
            let pooled = forward(&self.model, batch)?;
            let loss = vector_loss(&backend, &self.model.value(&pooled), batches, vectors.scale)?;
            let sum = ready(loss.value(&backend))?;
            self.backward(&[(pooled, loss.gradient)])?;
            return Ok(sum);
        }
        let mut pooled = vec![];
        for batch in batches {
            let result = forward(&self.model, batch)?;
            pooled.push(self.model.value(&result));
            self.model.model().backend().forget();
        }
        let loss = vector_loss(&backend, &backend.concat(&pooled)?, batches, vectors.scale)?;
        let sum = ready(loss.value(&backend))?;
        let mut start = 0;
        for batch in batches {
            let rows = start..start + batch.packed.sequences();
            start = rows.end;
            let seed = backend.map(UnaryOp::Copy, &loss.gradient.slice(0, rows)?)?;
            let pooled = forward(&self.model, batch)?;
            self.backward(&[(pooled, seed)])?;
        }
        Ok(sum)
    }

    fn set_recompute(&mut self, recompute: bool) {
        self.model.set_recompute(recompute);
    }

    fn norm(&self) -> Result<f64> {
        match &self.gradients {
            Some(gradients) => ready(self.model.gradient_norm(gradients)),
            None => Ok(0.0),
        }
    }

    fn step(&mut self, adam: &AdamW, number: u64, rate: f64, most: f64, norm: f64) -> Result<()> {
        if let Some(gradients) = self.gradients.take() {
            let step = AdamStep { number, rate, scale: clip(norm, most) };
            self.model.step(&gradients, adam, &step)?;
        }
        Ok(())
    }

    fn run(&self, batch: &PackedBatch, outputs: &[Output]) -> Result<Vec<HostTensor>> {
        // Outside of a step, nothing is written down for a backward pass.
        ready(self.model.model().run(batch, outputs))
    }

    fn parameters(&self) -> Result<Named> {
        ready(self.model.download(None))
    }

    fn trained(&self) -> Result<Named> {
        ready(self.model.trained())
    }

    fn follow(&mut self, plan: &Plan, source: &dyn ParameterSource) -> Result<()> {
        if let Some(adapters) = plan.adapters() {
            self.model.adapt(adapters.lora, source, |weight| adapters.targets(weight))?;
        }
        Ok(self.model.set_rates(|spec| plan.rate_factor(spec))?)
    }

    fn moments(&self) -> Result<[Named; 2]> {
        ready(self.model.moments())
    }

    fn restore_moments(&mut self, moments: [&dyn ParameterSource; 2]) -> Result<()> {
        Ok(self.model.restore_moments(moments)?)
    }
}
