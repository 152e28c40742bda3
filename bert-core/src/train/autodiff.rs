//! A backend that computes on another one and remembers what it computed.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapter::Adapter;
use super::backward::TrainBackend;
use super::gradients::Gradients;
use super::parameter::{Node, Parameter, forwards, inner};
use super::tape::{Collected, Entry, Ids, Saved, norm_inside};
use crate::contract::{
    Activation, AttentionSpec, Backend, BackendInfo, BinaryOp, Counts, DeviceBatch, Dropout, EmbeddingTables,
    LayerNorm, Linear, Pooling, Precision, ReduceOp, Tensor, UnaryOp, WeightSource,
};
use crate::random::Random;
use crate::tensor::{DType, HostTensor, View};
use crate::{Error, Result};

/// A backend for training on `B`: what floats are uploaded become parameters, and each word of a forward pass is
/// written on a tape, from the beginning of a pass to [`backward`](Self::backward). Clones share the tape.
///
/// Its words take what the model graph gives them: whole results, not windows on them.
pub struct Autodiff<B: TrainBackend> {
    backend: B,
    tape: Arc<Mutex<Tape<B>>>,
}

/// What is known of the forward pass so far.
struct Tape<B: TrainBackend> {
    entries: Vec<Entry<B>>,
    /// Whether words are written down. Otherwise nothing of a pass is kept but what was made of weights, for the next
    /// one: so scores are computed that nobody trains on.
    records: bool,
    /// Whether a backward pass makes again what is not kept for it.
    recomputes: bool,
    /// Where the dropout of adapters comes from; they drop nothing if it is not given.
    dropout: Option<Random>,
}

impl<B: TrainBackend> Default for Tape<B> {
    fn default() -> Self {
        Self { entries: vec![], records: false, recomputes: false, dropout: None }
    }
}

impl<B: TrainBackend> Clone for Autodiff<B> {
    fn clone(&self) -> Self {
        Self { backend: self.backend.clone(), tape: self.tape.clone() }
    }
}

impl<B: TrainBackend> fmt::Debug for Autodiff<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Autodiff({} entries)", self.tape().entries.len())
    }
}

impl<B: TrainBackend> Autodiff<B> {
    /// Trains on `backend`.
    pub fn new(backend: B) -> Self {
        Self { backend, tape: Arc::new(Mutex::new(Tape::default())) }
    }

    /// What computes.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The numbers of a result or a parameter, on the backend that computes.
    pub fn value(&self, x: &Tensor<Self>) -> Tensor<B> {
        inner(x)
    }

    /// Forgets what was computed: a forward pass that is not trained on.
    pub fn forget(&self) {
        *self.tape() = Tape::default();
    }

    /// Begins a forward pass that is trained on; forgets the one before. Adapters drop numbers if chance comes with it.
    /// With `recompute`, only the sums of residuals are kept of it, and the backward pass makes the rest again: less
    /// memory, more time, the same bits.
    pub(super) fn begin(&self, dropout: Option<Random>, recompute: bool) {
        *self.tape() = Tape { entries: vec![], records: true, recomputes: recompute, dropout };
    }

    /// The gradients of all parameters that train, given those of some results, added to those of other batches, if
    /// there are any. Forgets what was computed.
    ///
    /// # Errors
    /// [`Error::Gradient`] for a word that has no rule; a device that failed.
    pub fn backward(
        &self,
        seeds: &[(Tensor<Self>, Tensor<B>)],
        before: Option<Gradients<B>>,
    ) -> Result<Gradients<B>> {
        let Tape { entries, .. } = std::mem::take(&mut *self.tape());
        let mut collected = before.map_or_else(Collected::new, Gradients::into_collected);
        for (result, gradient) in seeds {
            collected.add(&self.backend, result.buffer(), gradient.clone())?;
        }
        collected.walk(&self.backend, entries)?;
        Ok(Gradients::new(collected))
    }

    fn tape(&self) -> MutexGuard<'_, Tape<B>> {
        // Entries are pushed as a whole: the list is in order whatever happened to a thread that held it.
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down how a result was made, if anything in it trains. What follows from frozen parameters alone has no
    /// gradient: nothing is kept for it, and nothing below it is walked.
    fn record(&self, value: Tensor<B>, entry: Entry<B>) -> Tensor<Self> {
        if !entry.needs_gradient() {
            return Self::constant(value, None);
        }
        let mut tape = self.tape();
        if !tape.records {
            return Self::constant(value, None);
        }
        let node = Node::Result(value.buffer().clone(), tape.entries.len());
        tape.entries.push(entry);
        value.with_buffer(node)
    }

    /// `z + scale * (x Aᵀ) Bᵀ`
    fn adapted(
        &self,
        adapter: &Adapter<B>,
        precision: Precision,
        x: &Tensor<Self>,
        z: &Tensor<Self>,
    ) -> Result<Tensor<Self>> {
        let probability = adapter.lora.dropout;
        let random = self.tape().dropout.filter(|_| probability > 0.0);
        let x = match random.map(|random| random.named("lora").numbered(adapter.number)) {
            Some(random) => self.dropout(x, &Dropout { probability, random })?,
            None => x.clone(),
        };
        let [a, b] = adapter.layers(precision);
        let low = self.linear(&x, &a, Activation::Identity)?; // [rows, parts * rank]
        let low = self.map(UnaryOp::Scale(adapter.lora.scale), &low)?;
        self.zip(BinaryOp::Add, z, &self.linear(&low, &b, Activation::Identity)?)
    }

    /// What is saved of a word's input for its rule.
    fn saved(&self, x: Tensor<Self>) -> Saved<B> {
        let tape = self.tape();
        Saved::new(x, &tape.entries, tape.recomputes)
    }

    fn constant(value: Tensor<B>, host: Option<Arc<HostTensor>>) -> Tensor<Self> {
        let node = Node::Constant(value.buffer().clone(), host);
        value.with_buffer(node)
    }
}

/// A result must be seen as a whole: its gradient has its shape.
fn whole<B: TrainBackend>(word: &'static str, x: &View<Node<B>>) -> Result<View<Node<B>>> {
    if x.is_contiguous() && x.offset() == 0 {
        return Ok(x.clone());
    }
    Err(Error::Gradient { word, reason: "its input is a part of a result" })
}

/// The indices that a constant holds, as the host remembers them.
fn indices<B: TrainBackend>(word: &'static str, x: &View<Node<B>>) -> Result<Arc<HostTensor>> {
    let missing = Error::Gradient { word, reason: "its indices are not known on the host" };
    let Node::Constant(_, Some(host)) = x.buffer() else { return Err(missing) };
    let all = host.as_slice::<u32>().ok_or(missing)?;
    let range = x.offset()..x.offset() + x.shape().elements();
    match all.get(range).filter(|_| x.is_contiguous()) {
        Some(part) if part.len() == all.len() => Ok(host.clone()),
        Some(part) => Ok(Arc::new(HostTensor::from_vec(part.to_vec(), [part.len()]))),
        None => Err(Error::Gradient { word, reason: "its indices are not contiguous" }),
    }
}

/// A batch as the backend inside sees it.
fn batch_inside<B: TrainBackend>(batch: &DeviceBatch<Node<B>>) -> DeviceBatch<B::Buffer> {
    DeviceBatch {
        ids: inner(&batch.ids),
        segments: inner(&batch.segments),
        positions: inner(&batch.positions),
        device_bounds: inner(&batch.device_bounds),
        bounds: batch.bounds.clone(),
        marked: batch.marked.as_ref().map(inner),
    }
}

impl<B: TrainBackend> Backend for Autodiff<B> {
    type Buffer = Node<B>;

    fn info(&self) -> BackendInfo {
        self.backend.info()
    }

    /// Floats are parameters, ids are not.
    fn upload(&self, tensor: &HostTensor) -> Result<Tensor<Self>> {
        let value = self.backend.upload(tensor)?;
        if tensor.dtype() == DType::U32 {
            return Ok(Self::constant(value, Some(Arc::new(tensor.clone()))));
        }
        let node = Node::Parameter(Arc::new(Parameter::new(value.clone())));
        Ok(value.with_buffer(node))
    }

    async fn download(&self, tensors: &[Tensor<Self>]) -> Result<Vec<HostTensor>> {
        let tensors: Vec<_> = tensors.iter().map(inner).collect();
        self.backend.download(&tensors).await
    }

    fn prepare_weight(&self, weight: WeightSource<'_, Node<B>>, precision: Precision) -> Result<Node<B>> {
        let info = self.backend.info();
        if !info.precisions.contains(&precision) {
            return Err(info.lacks(precision));
        }
        match weight {
            // A weight that is a parameter already stays that one: a tied decoder.
            WeightSource::Device(view) => match view.buffer() {
                Node::Parameter(parameter) => Ok(Node::Parameter(parameter.clone())),
                _ => Err(Error::Gradient { word: "prepare_weight", reason: "a weight is a parameter" }),
            },
            WeightSource::Host(tensor) => Ok(Node::Parameter(Arc::new(Parameter::new(
                crate::contract::upload_f32(&self.backend, tensor)?,
            )))),
        }
    }

    fn gather_rows(&self, table: &Tensor<Self>, rows: &Tensor<Self>) -> Result<Tensor<Self>> {
        let value = self.backend.gather_rows(&inner(table), &inner(rows))?;
        let goal = whole("gather_rows", table)?.buffer().goal();
        let entry = Entry::Gather { x: goal, rows: table.shape()[0], indices: indices("gather_rows", rows)? };
        Ok(self.record(value, entry))
    }

    fn matmul(&self, _: &Tensor<Self>, _: &Tensor<Self>) -> Result<Tensor<Self>> {
        Err(Error::Gradient { word: "matmul", reason: "the tape knows the words of the graph" })
    }

    fn map(&self, op: UnaryOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        let value = self.backend.map(op, &inner(x))?;
        Ok(self.record(value, Entry::Map { op, x: self.saved(whole("map", x)?) }))
    }

    fn zip(&self, op: BinaryOp, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        if op != BinaryOp::Add {
            return Err(Error::Gradient { word: "zip", reason: "only sums have a gradient rule" });
        }
        let value = self.backend.zip(op, &inner(a), &inner(b))?;
        Ok(self.record(
            value,
            Entry::Add { a: whole("zip", a)?.buffer().goal(), b: whole("zip", b)?.buffer().goal() },
        ))
    }

    fn reduce(&self, _: ReduceOp, _: &Tensor<Self>) -> Result<Tensor<Self>> {
        Err(Error::Gradient { word: "reduce", reason: "the tape knows the words of the graph" })
    }

    fn linear(
        &self,
        x: &Tensor<Self>,
        layer: &Linear<Node<B>>,
        activation: Activation,
    ) -> Result<Tensor<Self>> {
        let keep = !self.tape().records;
        let inside = forwards(&self.backend, layer, keep)?;
        let z = self.backend.linear(&inner(x), &inside, Activation::Identity)?;
        let z = self.record(z, Entry::Linear { x: self.saved(whole("linear", x)?), layer: layer.clone() });
        let z = match &layer.weight {
            Node::Parameter(weight) => match weight.adapter() {
                Some(adapter) => self.adapted(adapter, layer.precision, x, &z)?,
                None => z,
            },
            _ => z,
        };
        match activation.as_unary() {
            None => Ok(z),
            Some(op) => {
                let value = self.backend.map(op, &inner(&z))?;
                Ok(self.record(value, Entry::Activation { activation, z: self.saved(z) }))
            }
        }
    }

    fn embed(&self, tables: &EmbeddingTables<Node<B>>, batch: &DeviceBatch<Node<B>>) -> Result<Tensor<Self>> {
        let (backend, rows) = (&self.backend, batch_inside::<B>(batch));
        let mut sum = backend.gather_rows(&inner(&tables.word), &rows.ids)?;
        if let Some(token_type) = &tables.token_type {
            let rows = backend.gather_rows(&inner(token_type), &rows.segments)?;
            sum = backend.zip(BinaryOp::Add, &sum, &rows)?;
        }
        let position = backend.gather_rows(&inner(&tables.position), &rows.positions)?;
        let sum = backend.zip(BinaryOp::Add, &sum, &position)?;
        let ids = Ids {
            ids: indices("embed", &batch.ids)?,
            positions: indices("embed", &batch.positions)?,
            segments: indices("embed", &batch.segments)?,
        };
        let sum = self.record(sum, Entry::Embed { tables: tables.clone(), ids: Arc::new(ids) });
        self.layer_norm(&sum, &tables.norm)
    }

    fn layer_norm(&self, x: &Tensor<Self>, norm: &LayerNorm<Node<B>>) -> Result<Tensor<Self>> {
        let value = self.backend.layer_norm(&inner(x), &norm_inside(norm))?;
        Ok(self
            .record(value, Entry::LayerNorm { x: self.saved(whole("layer_norm", x)?), norm: norm.clone() }))
    }

    fn add_layer_norm(
        &self,
        x: &Tensor<Self>,
        residual: &Tensor<Self>,
        norm: &LayerNorm<Node<B>>,
    ) -> Result<Tensor<Self>> {
        self.layer_norm(&self.zip(BinaryOp::Add, x, residual)?, norm)
    }

    fn attention(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<Node<B>>,
    ) -> Result<Tensor<Self>> {
        let batch = batch_inside::<B>(batch);
        let value = self.backend.attention(&inner(qkv), spec, &batch)?;
        let qkv = self.saved(whole("attention", qkv)?);
        Ok(self.record(value, Entry::Attention { qkv, spec: *spec, batch }))
    }

    /// Outside of a step alone: it is for looking, and has no rule.
    fn attention_weights(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<Node<B>>,
    ) -> Result<Tensor<Self>> {
        if self.tape().records {
            return Err(Error::Gradient { word: "attention_weights", reason: "it has no rule" });
        }
        let value = self.backend.attention_weights(&inner(qkv), spec, &batch_inside::<B>(batch))?;
        Ok(Self::constant(value, None))
    }

    fn dropout(&self, x: &Tensor<Self>, dropout: &Dropout) -> Result<Tensor<Self>> {
        let value = self.backend.dropout(&inner(x), dropout)?;
        Ok(self.record(value, Entry::Dropout { x: whole("dropout", x)?.buffer().goal(), dropout: *dropout }))
    }

    fn softmax(&self, _: &Tensor<Self>) -> Result<Tensor<Self>> {
        Err(Error::Gradient { word: "softmax", reason: "it has no gradient rule" })
    }

    fn concat(&self, _: &[Tensor<Self>]) -> Result<Tensor<Self>> {
        Err(Error::Gradient { word: "concat", reason: "it has no gradient rule" })
    }

    fn pool(&self, x: &Tensor<Self>, batch: &DeviceBatch<Node<B>>, pooling: Pooling) -> Result<Tensor<Self>> {
        let value = self.backend.pool(&inner(x), &batch_inside::<B>(batch), pooling)?;
        let (x, bounds) = (whole("pool", x)?.buffer().goal(), batch.bounds.clone());
        Ok(self.record(value, Entry::Pool { x, bounds, pooling }))
    }

    async fn sync(&self) -> Result<()> {
        self.backend.sync().await
    }

    fn warm_up(&self) -> Result<()> {
        self.backend.warm_up()
    }

    fn counts(&self) -> Option<Counts> {
        self.backend.counts()
    }
}
