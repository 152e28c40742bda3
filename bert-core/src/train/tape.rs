//! What was computed, and how its gradient goes back: each entry beside its rule.

use std::collections::HashMap;
use std::sync::Arc;

use super::backward::{TrainBackend, column, map_backward};
use super::parameter::{Node, Parameter, backwards, inner};
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
    Linear { x: Traced<B>, layer: Linear<Node<B>> },
    /// A function that follows a linear layer.
    Activation { activation: Activation, z: Traced<B> },
    /// The sum of rows of tables.
    Embed { tables: EmbeddingTables<Node<B>>, ids: Arc<Ids> },
    /// `a + b`
    Add { a: Traced<B>, b: Traced<B> },
    /// A normalised row.
    LayerNorm { x: Traced<B>, norm: LayerNorm<Node<B>> },
    /// Softmax-weighted values.
    Attention { qkv: Traced<B>, spec: AttentionSpec, batch: DeviceBatch<B::Buffer> },
    /// Rows of a result.
    Gather { x: Traced<B>, indices: Arc<HostTensor> },
    /// Some numbers set to 0.
    Dropout { x: Traced<B>, dropout: Dropout },
    /// One row a sequence.
    Pool { x: Traced<B>, bounds: Arc<[u32]>, pooling: Pooling },
    /// A function of each element.
    Map { op: UnaryOp, x: Traced<B> },
}

impl<B: TrainBackend> Entry<B> {
    /// Whether anything that went in has a gradient.
    pub fn needs_gradient(&self) -> bool {
        let wanted = |x: &Traced<B>| x.buffer().needs_gradient();
        match self {
            Self::Linear { x, layer } => {
                wanted(x) || layer.weight.needs_gradient() || layer.bias.as_ref().is_some_and(wanted)
            }
            Self::Embed { tables, .. } => {
                wanted(&tables.word)
                    || wanted(&tables.position)
                    || tables.token_type.as_ref().is_some_and(wanted)
            }
            Self::Add { a, b } => wanted(a) || wanted(b),
            Self::LayerNorm { x, norm } => wanted(x) || wanted(&norm.weight) || wanted(&norm.bias),
            Self::Activation { z: x, .. }
            | Self::Attention { qkv: x, .. }
            | Self::Gather { x, .. }
            | Self::Dropout { x, .. }
            | Self::Pool { x, .. }
            | Self::Map { x, .. } => wanted(x),
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
        let key = match target {
            target if !target.needs_gradient() => return Ok(()),
            Node::Constant(..) => unreachable!("it has no gradient"),
            Node::Result(_, entry) => Key::Entry(*entry),
            Node::Parameter(parameter) => {
                let address = Arc::as_ptr(parameter) as usize;
                self.parameters.entry(address).or_insert_with(|| parameter.clone());
                Key::Parameter(address)
            }
        };
        let gradient = match target {
            Node::Parameter(parameter) => match parameter.mask() {
                Some(mask) => backend.zip(BinaryOp::Mul, &gradient, mask)?,
                None => gradient,
            },
            _ => gradient,
        };
        let sum = match self.gradients.remove(&key) {
            Some(before) => backend.zip(BinaryOp::Add, &before, &gradient)?,
            None => gradient,
        };
        self.gradients.insert(key, sum);
        Ok(())
    }

    /// Adds the gradients of parameters of another batch, in no order that matters: each sum has two terms.
    pub fn merge(&mut self, backend: &B, other: Self) -> Result<()> {
        for (address, parameter) in other.parameters {
            if let Some(gradient) = other.gradients.get(&Key::Parameter(address)) {
                self.add(backend, &Node::Parameter(parameter), gradient.clone())?;
            }
        }
        Ok(())
    }

    /// What has been collected for a parameter.
    pub fn of(&self, parameter: &Arc<Parameter<B>>) -> Option<&Tensor<B>> {
        self.gradients.get(&Key::Parameter(Arc::as_ptr(parameter) as usize))
    }

    /// Walks the entries from the last to the first. A gradient is let go as soon as it has been handed on, and an entry
    /// with it: what the forward pass left is no longer needed.
    pub fn walk(&mut self, backend: &B, mut entries: Vec<Entry<B>>) -> Result<()> {
        while let Some(entry) = entries.pop() {
            if let Some(dy) = self.gradients.remove(&Key::Entry(entries.len())) {
                self.hand_on(backend, &entry, &dy)?;
            }
        }
        Ok(())
    }

    fn hand_on(&mut self, backend: &B, entry: &Entry<B>, dy: &Tensor<B>) -> Result<()> {
        match entry {
            Entry::Linear { x, layer } => {
                let bias = layer.bias.as_ref().filter(|bias| bias.buffer().needs_gradient());
                if layer.weight.needs_gradient() || bias.is_some() {
                    let [of_weight, of_bias] = backend.weight_gradient(&inner(x), dy)?;
                    self.add(backend, &layer.weight, of_weight)?;
                    if let Some(bias) = bias {
                        self.add(backend, bias.buffer(), of_bias)?;
                    }
                }
                if x.buffer().needs_gradient() {
                    let dx = backend.linear(dy, &backwards(backend, layer)?, Activation::Identity)?;
                    self.add(backend, x.buffer(), dx)?;
                }
            }
            Entry::Activation { activation, z } => {
                let dz = backend.activation_backward(*activation, &inner(z), dy)?;
                self.add(backend, z.buffer(), dz)?;
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
                self.add(backend, a.buffer(), dy.clone())?;
                self.add(backend, b.buffer(), dy.clone())?;
            }
            Entry::LayerNorm { x, norm } => {
                let inside =
                    LayerNorm { weight: inner(&norm.weight), bias: inner(&norm.bias), eps: norm.eps };
                let gradients = backend.layer_norm_backward(&inner(x), &inside, dy)?;
                self.add(backend, norm.weight.buffer(), gradients.weight)?;
                self.add(backend, norm.bias.buffer(), gradients.bias)?;
                self.add(backend, x.buffer(), gradients.input)?;
            }
            Entry::Attention { qkv, spec, batch } => {
                let gradient = backend.attention_backward(&inner(qkv), spec, batch, dy)?;
                self.add(backend, qkv.buffer(), gradient)?;
            }
            Entry::Gather { x, indices } => {
                let indices = indices.as_slice::<u32>().expect("ids are aligned");
                let gradient = backend.scatter_rows(dy, indices, x.shape()[0])?;
                self.add(backend, x.buffer(), gradient)?;
            }
            Entry::Dropout { x, dropout } => {
                // The same mask again.
                let gradient = backend.dropout(dy, dropout)?;
                self.add(backend, x.buffer(), gradient)?;
            }
            Entry::Pool { x, bounds, pooling } => {
                let gradient = pool_backward(backend, bounds, *pooling, dy)?;
                self.add(backend, x.buffer(), gradient)?;
            }
            Entry::Map { op, x } => {
                let gradient = map_backward(backend, *op, &inner(x), dy)?;
                self.add(backend, x.buffer(), gradient)?;
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
        return Err(Error::Gradient { word: "pool", reason: "the maximum has no rule" });
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
