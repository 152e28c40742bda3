//! What was computed, and how its gradient goes back: each entry beside its rule.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use super::backward::{TrainBackend, column, map_backward};
use super::parameter::{Node, Parameter, backwards, forwards, inner};
use crate::contract::{
    Activation, AttentionSpec, BinaryOp, DeviceBatch, Dropout, EmbeddingTables, LayerNorm, Linear, Pooling,
    Tensor, UnaryOp,
};
use crate::tensor::{HostTensor, View};
use crate::{Error, Result};

type Traced<B> = View<Node<B>>;

/// One word of a forward pass. Entries are numbered in the order in which they were computed.
pub(super) enum Entry<B: TrainBackend> {
    /// `x Wᵀ + b`
    Linear { x: Saved<B>, layer: Linear<Node<B>> },
    /// A function that follows a linear layer.
    Activation { activation: Activation, z: Saved<B> },
    /// The sum of rows of tables.
    Embed { tables: EmbeddingTables<Node<B>>, ids: Arc<Ids> },
    /// `a + b`
    Add { a: Goal<B>, b: Goal<B> },
    /// A normalised row.
    LayerNorm { x: Saved<B>, norm: LayerNorm<Node<B>> },
    /// Softmax-weighted values.
    Attention { qkv: Saved<B>, spec: AttentionSpec, batch: DeviceBatch<B::Buffer> },
    /// Rows of a result that has so many.
    Gather { x: Goal<B>, rows: usize, indices: Arc<HostTensor> },
    /// Some numbers set to 0.
    Dropout { x: Goal<B>, dropout: Dropout },
    /// One row a sequence.
    Pool { x: Goal<B>, bounds: Arc<[u32]>, pooling: Pooling },
    /// A function of each element.
    Map { op: UnaryOp, x: Saved<B> },
}

/// Where a gradient goes: all that is kept of what went into a word whose rule needs no numbers of it.
#[derive(Clone)]
pub(super) enum Goal<B: TrainBackend> {
    /// It is of no interest.
    Nowhere,
    /// To the entry that gave the result.
    Result(usize),
    Parameter(Arc<Parameter<B>>),
}

/// What a rule needs of what went into a word.
#[derive(Clone)]
pub(super) enum Saved<B: TrainBackend> {
    /// The numbers.
    Kept(Traced<B>),
    /// The result of this entry, to be made again: by the same word from the same numbers, hence to the same bits.
    Again(usize),
}

impl<B: TrainBackend> Saved<B> {
    /// Saves a result of an entry, or something else.
    ///
    /// Activations and normalised rows are always made again. It takes one pass over numbers that the tape holds anyway,
    /// and saves four tenths of what a layer of BERT leaves on it. With `recompute`, so is all that has a rule which
    /// saves its input, and of a layer nothing is kept but the two sums.
    pub fn new(x: Traced<B>, entries: &[Entry<B>], recompute: bool) -> Self {
        let Node::Result(_, index) = x.buffer() else { return Self::Kept(x) };
        match entries.get(*index) {
            Some(Entry::Activation { .. } | Entry::LayerNorm { .. }) => Self::Again(*index),
            Some(Entry::Linear { .. } | Entry::Attention { .. } | Entry::Map { .. }) if recompute => {
                Self::Again(*index)
            }
            _ => Self::Kept(x),
        }
    }

    /// Where its gradient goes.
    fn goal(&self) -> Goal<B> {
        match self {
            Self::Kept(x) => x.buffer().goal(),
            Self::Again(index) => Goal::Result(*index),
        }
    }
}

/// The entries that are still to be walked, and results of theirs that were made again.
struct Remaining<'a, B: TrainBackend> {
    backend: &'a B,
    entries: Vec<Entry<B>>,
    made: HashMap<usize, Tensor<B>>,
}

impl<B: TrainBackend> Remaining<'_, B> {
    fn value(&mut self, saved: &Saved<B>) -> Result<Tensor<B>> {
        let index = match saved {
            Saved::Kept(x) => return Ok(inner(x)),
            Saved::Again(index) => *index,
        };
        if let Some(value) = self.made.get(&index) {
            return Ok(value.clone());
        }
        let backend = self.backend;
        let value = match &self.entries[index] {
            Entry::Linear { x, layer } => {
                let (x, layer) = (x.clone(), layer.clone());
                let x = self.value(&x)?;
                backend.linear(&x, &forwards(backend, &layer, false)?, Activation::Identity)?
            }
            Entry::Activation { activation, z } => {
                let (op, z) = (activation.as_unary(), z.clone());
                let z = self.value(&z)?;
                op.map_or(Ok(z.clone()), |op| backend.map(op, &z))?
            }
            Entry::LayerNorm { x, norm } => {
                let (x, norm) = (x.clone(), norm_inside(norm));
                backend.layer_norm(&self.value(&x)?, &norm)?
            }
            Entry::Attention { qkv, spec, batch } => {
                let (qkv, spec, batch) = (qkv.clone(), *spec, batch.clone());
                backend.attention(&self.value(&qkv)?, &spec, &batch)?
            }
            Entry::Map { op, x } => {
                let (op, x) = (*op, x.clone());
                backend.map(op, &self.value(&x)?)?
            }
            Entry::Embed { .. }
            | Entry::Add { .. }
            | Entry::Gather { .. }
            | Entry::Dropout { .. }
            | Entry::Pool { .. } => unreachable!("what its rule needs of it is kept"),
        };
        self.made.insert(index, value.clone());
        Ok(value)
    }
}

/// A LayerNorm as the backend inside sees it.
pub(super) fn norm_inside<B: TrainBackend>(norm: &LayerNorm<Node<B>>) -> LayerNorm<B::Buffer> {
    LayerNorm { weight: inner(&norm.weight), bias: inner(&norm.bias), eps: norm.eps }
}

impl<B: TrainBackend> Entry<B> {
    /// Whether anything that went in has a gradient.
    pub fn needs_gradient(&self) -> bool {
        let trains = |x: &Traced<B>| x.buffer().needs_gradient();
        let wanted = |goal: &Goal<B>| !matches!(goal, Goal::Nowhere);
        match self {
            Self::Linear { x, layer } => {
                wanted(&x.goal()) || layer.weight.needs_gradient() || layer.bias.as_ref().is_some_and(trains)
            }
            Self::Embed { tables, .. } => {
                trains(&tables.word)
                    || trains(&tables.position)
                    || tables.token_type.as_ref().is_some_and(trains)
            }
            Self::Add { a, b } => wanted(a) || wanted(b),
            Self::LayerNorm { x, norm } => wanted(&x.goal()) || trains(&norm.weight) || trains(&norm.bias),
            Self::Activation { z: x, .. } | Self::Attention { qkv: x, .. } | Self::Map { x, .. } => {
                wanted(&x.goal())
            }
            Self::Gather { x, .. } | Self::Dropout { x, .. } | Self::Pool { x, .. } => wanted(x),
        }
    }
}

/// The indices of a batch, on the host.
pub(super) struct Ids {
    pub ids: Arc<HostTensor>,
    pub positions: Arc<HostTensor>,
    pub segments: Arc<HostTensor>,
}

/// Where a gradient goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Entry(usize),
    /// The address of a parameter, which lives as long as the tape.
    Parameter(usize),
}

/// Gradients that are collected while the tape is walked.
pub(super) struct Collected<B: TrainBackend> {
    gradients: HashMap<Key, Tensor<B>>,
    parameters: HashMap<usize, Arc<Parameter<B>>>,
}

impl<B: TrainBackend> Collected<B> {
    pub fn new() -> Self {
        Self { gradients: HashMap::new(), parameters: HashMap::new() }
    }

    /// Adds what one use of a result or a parameter contributes. Uses come in the order of the tape, so sums are the
    /// same on every run.
    pub fn add(&mut self, backend: &B, target: &Node<B>, gradient: Tensor<B>) -> Result<()> {
        self.add_to(backend, &target.goal(), gradient)
    }

    fn add_to(&mut self, backend: &B, goal: &Goal<B>, gradient: Tensor<B>) -> Result<()> {
        let key = match goal {
            Goal::Nowhere => return Ok(()),
            Goal::Result(entry) => Key::Entry(*entry),
            Goal::Parameter(parameter) => {
                let address = Arc::as_ptr(parameter) as usize;
                self.parameters.entry(address).or_insert_with(|| parameter.clone());
                Key::Parameter(address)
            }
        };
        let gradient = match goal {
            Goal::Parameter(parameter) => match parameter.mask() {
                Some(mask) => backend.zip(BinaryOp::Mul, &gradient, mask)?,
                None => gradient,
            },
            _ => gradient,
        };
        match self.gradients.entry(key) {
            hash_map::Entry::Occupied(mut sum) => backend.add_gradient(sum.get_mut(), &gradient),
            hash_map::Entry::Vacant(place) => {
                place.insert(gradient);
                Ok(())
            }
        }
    }

    /// What has been collected for a parameter.
    pub fn of(&self, parameter: &Arc<Parameter<B>>) -> Option<&Tensor<B>> {
        self.gradients.get(&Key::Parameter(Arc::as_ptr(parameter) as usize))
    }

    /// Walks the entries from the last to the first. A gradient is let go as soon as it has been handed on, and an entry
    /// with it: what the forward pass left is no longer needed.
    pub fn walk(&mut self, backend: &B, entries: Vec<Entry<B>>) -> Result<()> {
        let mut remaining = Remaining { backend, entries, made: HashMap::new() };
        while let Some(entry) = remaining.entries.pop() {
            let index = remaining.entries.len();
            // Whatever needed its result has been walked.
            remaining.made.remove(&index);
            if let Some(dy) = self.gradients.remove(&Key::Entry(index)) {
                self.hand_on(&mut remaining, &entry, &dy)?;
            }
        }
        Ok(())
    }

    fn hand_on(&mut self, remaining: &mut Remaining<'_, B>, entry: &Entry<B>, dy: &Tensor<B>) -> Result<()> {
        let backend = remaining.backend;
        match entry {
            Entry::Linear { x, layer } => {
                // The weight's gradient comes second: it may take the memory of the weight turned round.
                let goal = x.goal();
                if !matches!(goal, Goal::Nowhere) {
                    let dx = backend.linear(dy, &backwards(backend, layer)?, Activation::Identity)?;
                    self.add_to(backend, &goal, dx)?;
                }
                let bias = layer.bias.as_ref().filter(|bias| bias.buffer().needs_gradient());
                if layer.weight.needs_gradient() || bias.is_some() {
                    let [of_weight, of_bias] = backend.weight_gradient(&remaining.value(x)?, dy)?;
                    self.add(backend, &layer.weight, of_weight)?;
                    if let Some(bias) = bias {
                        self.add(backend, bias.buffer(), of_bias)?;
                    }
                }
            }
            Entry::Activation { activation, z } => {
                let dz = backend.activation_backward(*activation, &remaining.value(z)?, dy)?;
                self.add_to(backend, &z.goal(), dz)?;
            }
            Entry::Embed { tables, ids } => {
                let mut table = |table: &Traced<B>, ids: &HostTensor| -> Result<()> {
                    if !table.buffer().needs_gradient() {
                        return Ok(());
                    }
                    let indices = ids.as_slice::<u32>().expect("ids are aligned");
                    let gradient = backend.scatter_rows(dy, indices, table.shape()[0])?;
                    self.add(backend, table.buffer(), gradient)
                };
                table(&tables.word, &ids.ids)?;
                table(&tables.position, &ids.positions)?;
                if let Some(token_type) = &tables.token_type {
                    table(token_type, &ids.segments)?;
                }
            }
            Entry::Add { a, b } => {
                self.add_to(backend, a, dy.clone())?;
                self.add_to(backend, b, dy.clone())?;
            }
            Entry::LayerNorm { x, norm } => {
                let gradients = backend.layer_norm_backward(&remaining.value(x)?, &norm_inside(norm), dy)?;
                self.add(backend, norm.weight.buffer(), gradients.weight)?;
                self.add(backend, norm.bias.buffer(), gradients.bias)?;
                self.add_to(backend, &x.goal(), gradients.input)?;
            }
            Entry::Attention { qkv, spec, batch } => {
                let gradient = backend.attention_backward(&remaining.value(qkv)?, spec, batch, dy)?;
                self.add_to(backend, &qkv.goal(), gradient)?;
            }
            Entry::Gather { x, rows, indices } => {
                let indices = indices.as_slice::<u32>().expect("ids are aligned");
                let gradient = backend.scatter_rows(dy, indices, *rows)?;
                self.add_to(backend, x, gradient)?;
            }
            Entry::Dropout { x, dropout } => {
                // The same mask again.
                let gradient = backend.dropout(dy, dropout)?;
                self.add_to(backend, x, gradient)?;
            }
            Entry::Pool { x, bounds, pooling } => {
                let gradient = pool_backward(backend, bounds, *pooling, dy)?;
                self.add_to(backend, x, gradient)?;
            }
            Entry::Map { op, x } => {
                let gradient = map_backward(backend, *op, &remaining.value(x)?, dy)?;
                self.add_to(backend, &x.goal(), gradient)?;
            }
        }
        Ok(())
    }
}

/// The gradient `[tokens, hidden]` of what was pooled, from `dy [sequences, hidden]`.
fn pool_backward<B: TrainBackend>(
    backend: &B,
    bounds: &[u32],
    pooling: Pooling,
    dy: &Tensor<B>,
) -> Result<Tensor<B>> {
    let tokens = bounds[bounds.len() - 1] as usize;
    if pooling == Pooling::Max {
        return Err(Error::Gradient { word: "pool", reason: "the maximum has no gradient rule" });
    }
    if pooling == Pooling::Cls {
        return backend.scatter_rows(dy, &bounds[..bounds.len() - 1], tokens);
    }
    let (mut sequence_of, mut shares) = (vec![], vec![]);
    for (sequence, pair) in bounds.windows(2).enumerate() {
        let length = (pair[1] - pair[0]) as usize;
        let share = if pooling == Pooling::Mean { length as f32 } else { (length as f32).sqrt() };
        sequence_of.extend(std::iter::repeat_n(sequence as u32, length));
        shares.extend(std::iter::repeat_n(share.recip(), length));
    }
    let rows = backend.upload(&HostTensor::from_vec(sequence_of, [tokens]))?;
    let spread = backend.gather_rows(dy, &rows)?;
    backend.zip(BinaryOp::Mul, &spread, &column(backend, shares, spread.shape())?)
}
