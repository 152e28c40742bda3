//! A model in training on a device whose backend was chosen at run time.

use std::collections::HashMap;

use bert_core::PackedBatch;
use bert_core::contract::{BinaryOp, Tensor, UnaryOp};
use bert_core::graph::{Encoder, Head, Model, Output, ParameterSource, ParameterSpec};
use bert_core::random::Random;
use bert_core::tensor::HostTensor;
use bert_core::train::loss::{Loss, hidden_state_cosine};
use bert_core::train::{AdamStep, AdamW, Autodiff, Gradients, TrainBackend, Trainable, clip};

use super::distillation::soft_loss;
use super::plan::Plan;
use super::target::{Target, TrainingExample, loss};
use super::vectors::vector_loss;
use super::{DistillationOptions, TrainOptions, Vectors};
use crate::wait::wait;
use crate::{Pretrained, Result};

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

    /// The gradient of a result with respect to what the embeddings give, `[tokens, hidden]`, at `embedded`; `seed` makes
    /// the gradient of the result of its numbers.
    fn input_gradient(
        &self,
        batch: &PackedBatch,
        embedded: &HostTensor,
        output: Output,
        seed: &dyn Fn(&HostTensor) -> Result<HostTensor>,
    ) -> Result<HostTensor>;

    /// Nothing trains from now on.
    fn freeze(&mut self) -> Result<()>;

    /// Begins to train what a plan says, from these numbers.
    fn follow(&mut self, plan: &Plan, source: &dyn ParameterSource) -> Result<()>;

    /// Has a teacher say what scores of classes should be, too.
    fn learn_from(&mut self, teacher: &Pretrained, options: DistillationOptions) -> Result<()>;

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

/// Over how many terms the losses of a step are averaged.
pub(crate) struct Terms {
    /// Those of each head.
    heads: HashMap<Head, usize>,
    /// Those of hidden states.
    tokens: usize,
}

impl Terms {
    pub fn of(head: Head, examples: &[TrainingExample]) -> Self {
        let own = |part| examples.iter().map(|example| example.target.terms(part)).sum();
        let sequences = examples.iter().flat_map(|example| &example.sequences);
        Self {
            heads: head.parts().iter().map(|&part| (part, own(part))).collect(),
            tokens: sequences.map(|sequence| sequence.ids.len()).sum(),
        }
    }
}

/// A model to follow, and how.
struct Teacher<B: TrainBackend> {
    model: Model<B>,
    options: DistillationOptions,
}

/// A model and the gradients of the step so far.
pub(crate) struct Typed<B: TrainBackend> {
    model: Trainable<B>,
    head: Head,
    teacher: Option<Teacher<B>>,
    gradients: Option<Gradients<B>>,
}

impl<B: TrainBackend> Typed<B> {
    pub fn new(model: Trainable<B>, head: Head) -> Self {
        Self { model, head, teacher: None, gradients: None }
    }

    /// Adds to the gradients of the step, given those of some results of the last forward pass.
    fn backward(&mut self, seeds: &[(Tensor<Autodiff<B>>, Tensor<B>)]) -> Result<()> {
        self.gradients = Some(self.model.accumulate(seeds, self.gradients.take())?);
        Ok(())
    }

    /// The losses of a head's scores, each with its factor: from what the examples say and from what the teacher does.
    fn losses_of_scores(
        &self,
        head: Head,
        share: f64,
        scores: &Tensor<B>,
        taught: Option<&Tensor<B>>,
        batch: &PackedBatch,
        targets: &[&Target],
    ) -> Result<Vec<(f64, Loss<B>)>> {
        let backend = self.model.backend();
        let mut losses = vec![];
        let soft_share = self.teacher.as_ref().map_or(0.0, |teacher| teacher.options.weight);
        if soft_share < 1.0 {
            losses.push((share * (1.0 - soft_share), loss(backend, head, scores, batch, targets)?));
        }
        if let (Some(teacher), Some(taught)) = (&self.teacher, taught)
            && soft_share > 0.0
        {
            let temperature = teacher.options.temperature;
            let soft = soft_loss(backend, head, [scores, taught], batch, targets, temperature)?;
            losses.push((share * soft_share, soft));
        }
        Ok(losses)
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
        let hidden_weight = self.teacher.as_ref().map(|teacher| teacher.options.hidden_weight);
        let hidden_weight = hidden_weight.filter(|&weight| weight > 0.0);
        // Heads without a term in this batch are not asked: there may be no masked word in it.
        let mut asked = vec![];
        for &head in self.head.parts() {
            let own: usize = targets.iter().map(|target| target.terms(head)).sum();
            if own > 0 {
                asked.push((head, own as f64 / terms.heads[&head] as f64));
            }
        }
        let outputs = |model_layers: usize| {
            let scores = asked.iter().map(|&(head, _)| Output::Scores(head));
            scores.chain(hidden_weight.map(|_| Output::HiddenState(model_layers))).collect::<Vec<_>>()
        };
        let outputs_of_student = outputs(self.model.model().config().num_hidden_layers);
        if outputs_of_student.is_empty() {
            return Ok(0.0);
        }
        let backend = self.model.backend().clone();
        let taught = match &self.teacher {
            Some(teacher) => {
                let model = &teacher.model;
                model.forward(batch, &outputs(model.config().num_hidden_layers))?
            }
            None => vec![],
        };
        let results = self.model.forward(batch, &outputs_of_student, dropout)?;
        let (mut seeds, mut sum) = (vec![], 0.0);
        for (index, result) in results.into_iter().enumerate() {
            let value = self.model.value(&result);
            let losses = match (asked.get(index), taught.get(index), hidden_weight) {
                (Some(&(head, share)), taught, _) => {
                    self.losses_of_scores(head, share, &value, taught, batch, targets)?
                }
                (None, Some(taught), Some(weight)) => {
                    let share = batch.tokens() as f64 / terms.tokens as f64;
                    vec![(share * weight, hidden_state_cosine(&backend, &value, taught)?)]
                }
                (None, ..) => unreachable!("hidden states are asked for with a teacher and a weight"),
            };
            let mut seed: Option<Tensor<B>> = None;
            for (factor, loss) in losses {
                sum += factor * ready(loss.value(&backend))?;
                let part = backend.map(UnaryOp::Scale(factor), &loss.gradient)?;
                seed = Some(match seed {
                    Some(before) => backend.zip(BinaryOp::Add, &before, &part)?,
                    None => part,
                });
            }
            seeds.push((result, seed.expect("a share of 1 in all")));
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

    fn input_gradient(
        &self,
        batch: &PackedBatch,
        embedded: &HostTensor,
        output: Output,
        seed: &dyn Fn(&HostTensor) -> Result<HostTensor>,
    ) -> Result<HostTensor> {
        let backend = self.model.backend();
        let (parameter, mut results) = self.model.forward_from(batch, embedded, &[output])?;
        let result = results.remove(0);
        let value = ready(backend.download(&[self.model.value(&result)]))?.remove(0);
        let seed = backend.upload(&seed(&value)?)?;
        let gradients = self.model.backward(&[(result, seed)])?;
        let gradient = gradients.of(&parameter).expect("every result depends on the embeddings");
        Ok(ready(backend.download(std::slice::from_ref(gradient)))?.remove(0))
    }

    fn freeze(&mut self) -> Result<()> {
        Ok(self.model.set_rates(|_| 0.0)?)
    }

    fn follow(&mut self, plan: &Plan, source: &dyn ParameterSource) -> Result<()> {
        if let Some(adapters) = plan.adapters() {
            self.model.adapt(adapters.lora, source, |weight| adapters.targets(weight))?;
        }
        Ok(self.model.set_rates(|spec| plan.rate_factor(spec))?)
    }

    fn learn_from(&mut self, teacher: &Pretrained, options: DistillationOptions) -> Result<()> {
        let (backend, config) = (self.model.backend().clone(), teacher.config().clone());
        let model = Model::load(backend, config, teacher.parameters(), self.head, TrainOptions::PRECISION)?;
        self.teacher = Some(Teacher { model, options });
        Ok(())
    }

    fn moments(&self) -> Result<[Named; 2]> {
        ready(self.model.moments())
    }

    fn restore_moments(&mut self, moments: [&dyn ParameterSource; 2]) -> Result<()> {
        Ok(self.model.restore_moments(moments)?)
    }
}
