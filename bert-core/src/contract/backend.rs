//! What a backend must do.
//!
//! A backend implements **eight methods** and is complete: every coarse operation that the model graph
//! uses has a default body in terms of those eight. It becomes **fast** by overriding coarse operations,
//! one at a time; the default body stays the oracle of the override, and
//! [`Reference`](crate::reference::Reference), the eight methods in plain `f64`, is the oracle of the default.
//!
//! | required | what it does |
//! | --- | --- |
//! | [`info`](Backend::info) | says what it runs on |
//! | [`upload`](Backend::upload), [`download`](Backend::download) | move tensors between host and device |
//! | [`gather_rows`](Backend::gather_rows) | `[n]` rows of a table |
//! | [`matmul`](Backend::matmul) | batched product of strided matrices |
//! | [`map`](Backend::map), [`zip`](Backend::zip), [`reduce`](Backend::reduce) | element-wise functions; sums and maxima of rows |
//!
//! What every backend can rely on, because this crate checks it first:
//! * views lie inside their buffers and have rank 4 at most; strides may be 0 (a broadcast);
//! * shapes and dtypes fit the operation as its doc says; ids lie inside their tables;
//! * no extent is 0: a batch without sequences never reaches a backend.
//!
//! What every backend guarantees in return: results are row-major; sums are accumulated in `f32` or wider; the
//! order of summation inside a row does not depend on how many other rows there are, so that a text alone
//! and the same text in a batch give the same bits; it is safe to call from several threads.

use std::future::Future;
use std::ops::Range;

use super::batch::DeviceBatch;
use super::info::{BackendInfo, Counts};
use super::ops::{Activation, AttentionSpec, BinaryOp, Dropout, Pooling, Precision, ReduceOp, UnaryOp};
use super::packed_cache::PackedCache;
use super::threads::{MaybeSend, MaybeSync};
use super::weights::{EmbeddingTables, LayerNorm, Linear, WeightSource};
use crate::Result;
use crate::observe::trace;
use crate::tensor::{DType, HostTensor, Shape, View};

/// A view of a backend's buffer: what operations take and give.
pub type Tensor<B> = View<<B as Backend>::Buffer>;

/// The value that stands for "never look here" in attention scores and maxima, for backends that mask. It is
/// finite, so that a row of nothing else gives numbers and not NaN.
pub const MASKED: f32 = -1e30;

/// The tensor operations of one kind of hardware. See the [module](crate::contract) for the contract.
pub trait Backend: Clone + MaybeSend + MaybeSync + 'static {
    /// A block of device memory. Cloning shares it; the last clone frees it.
    type Buffer: Clone + MaybeSend + MaybeSync + 'static;

    // ---- required -------------------------------------------------------------------------------------

    /// What this backend runs on.
    fn info(&self) -> BackendInfo;

    /// Brings a tensor to the device, in its own dtype (`F32` and `U32` are enough).
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if the device has no room.
    fn upload(&self, tensor: &HostTensor) -> Result<Tensor<Self>>;

    /// Brings tensors back, in order. The only place where a caller waits for the device, hence the only
    /// asynchronous method; it takes many tensors so that one wait is enough.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if the device failed in this or an earlier operation.
    fn download(&self, tensors: &[Tensor<Self>])
    -> impl Future<Output = Result<Vec<HostTensor>>> + MaybeSend;

    /// Rows of a table: `table [rows, n]` of `F32`, `indices [k]` of `U32` -> `[k, n]`.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn gather_rows(&self, table: &Tensor<Self>, indices: &Tensor<Self>) -> Result<Tensor<Self>>;

    /// Product of the last two axes, in `F32`: `a [.., m, k]`, `b [.., k, n]` -> `[.., m, n]`. The leading
    /// axes, two at most, are equal (broadcast a view first). Views may have any strides.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn matmul(&self, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>>;

    /// A function of each element. All functions take and give `F32`, except `Copy`, which takes any type, and
    /// `Cast`.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn map(&self, op: UnaryOp, x: &Tensor<Self>) -> Result<Tensor<Self>>;

    /// A function of pairs of elements, in `F32`: two views of one shape (broadcast a view first).
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn zip(&self, op: BinaryOp, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>>;

    /// The sum or the maximum over the last axis, in `F32`: `[.., n]` -> `[.., 1]`.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn reduce(&self, op: ReduceOp, x: &Tensor<Self>) -> Result<Tensor<Self>>;

    // ---- provided: parameters -------------------------------------------------------------------------

    /// Brings several tensors to the device, in order.
    ///
    /// The default uploads one after another. Override it where one copy of many small tensors is cheaper than
    /// many copies.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    fn upload_all(&self, tensors: &[HostTensor]) -> Result<Vec<Tensor<Self>>> {
        tensors.iter().map(|tensor| self.upload(tensor)).collect()
    }

    /// Makes a weight `[out_features, in_features]` ready for [`linear`](Self::linear): packed, rounded or
    /// quantised as the kernels like it. It is done once when a model is loaded, and after each step of training.
    ///
    /// The default keeps it as `F32`, row-major. Override it together with `linear` to keep weights in another
    /// layout or precision.
    ///
    /// # Errors
    /// [`Error::Precision`](crate::Error::Precision) for a precision that the backend has no kernels for.
    fn prepare_weight(
        &self,
        weight: WeightSource<'_, Self::Buffer>,
        precision: Precision,
    ) -> Result<Self::Buffer> {
        trace::default_body("prepare_weight");
        if precision != Precision::F32 {
            return Err(self.info().lacks(precision));
        }
        let prepared = match weight {
            WeightSource::Host(tensor) => upload_f32(self, tensor)?,
            WeightSource::Device(view) => self.map(UnaryOp::Copy, view)?,
        };
        Ok(prepared.buffer().clone())
    }

    // ---- provided: the words of the model graph -------------------------------------------------------

    /// A linear layer and what follows it: `x [rows, in_features]` -> `[rows, out_features]`.
    ///
    /// The default is a `matmul`, a `zip` for the bias and a `map` for the activation: three passes over
    /// the output. Override it first: nine tenths of a model's arithmetic happen here.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn linear(
        &self,
        x: &Tensor<Self>,
        layer: &Linear<Self::Buffer>,
        activation: Activation,
    ) -> Result<Tensor<Self>> {
        trace::default_body("linear");
        let weight = [layer.out_features, layer.in_features];
        let weight = View::contiguous(layer.weight.clone(), DType::F32, weight).permute(&[1, 0])?;
        let mut y = self.matmul(x, &weight)?;
        if let Some(bias) = &layer.bias {
            y = self.zip(BinaryOp::Add, &y, &bias.broadcast_to(y.shape())?)?;
        }
        match activation.as_unary() {
            Some(op) => self.map(op, &y),
            None => Ok(y),
        }
    }

    /// The first hidden state: a row of each table added up, then normalised. -> `[tokens, hidden]`.
    ///
    /// The default makes a pass for each table. Override it to make one for all.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn embed(
        &self,
        tables: &EmbeddingTables<Self::Buffer>,
        batch: &DeviceBatch<Self::Buffer>,
    ) -> Result<Tensor<Self>> {
        trace::default_body("embed");
        let mut sum = self.gather_rows(&tables.word, &batch.ids)?;
        if let Some(token_type) = &tables.token_type {
            sum = self.zip(BinaryOp::Add, &sum, &self.gather_rows(token_type, &batch.segments)?)?;
        }
        let position = self.gather_rows(&tables.position, &batch.positions)?;
        self.add_layer_norm(&sum, &position, &tables.norm)
    }

    /// `x [rows, hidden]` normalised row by row, by the mean and then the variance around it (two passes:
    /// the difference of two large sums would lose the digits that matter).
    ///
    /// The default takes eight passes. Override it to keep the row in registers or shared memory.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn layer_norm(&self, x: &Tensor<Self>, norm: &LayerNorm<Self::Buffer>) -> Result<Tensor<Self>> {
        trace::default_body("layer_norm");
        let shape = x.shape();
        let mean_of = |x: &Tensor<Self>| -> Result<Tensor<Self>> {
            let sum = self.reduce(ReduceOp::Sum, x)?;
            self.map(UnaryOp::Scale(1.0 / shape[shape.rank() - 1] as f64), &sum)
        };
        let centred = self.zip(BinaryOp::Sub, x, &mean_of(x)?.broadcast_to(shape)?)?;
        let variance = mean_of(&self.zip(BinaryOp::Mul, &centred, &centred)?)?;
        let deviation = self.map(UnaryOp::Sqrt, &self.map(UnaryOp::Offset(norm.eps), &variance)?)?;
        let normal = self.zip(BinaryOp::Div, &centred, &deviation.broadcast_to(shape)?)?;
        let scaled = self.zip(BinaryOp::Mul, &normal, &norm.weight.broadcast_to(shape)?)?;
        self.zip(BinaryOp::Add, &scaled, &norm.bias.broadcast_to(shape)?)
    }

    /// `layer_norm(x + residual)`, all `[rows, hidden]`: how each half of a layer ends.
    ///
    /// The default adds, then normalises. Override it to do both in one pass.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn add_layer_norm(
        &self,
        x: &Tensor<Self>,
        residual: &Tensor<Self>,
        norm: &LayerNorm<Self::Buffer>,
    ) -> Result<Tensor<Self>> {
        trace::default_body("add_layer_norm");
        self.layer_norm(&self.zip(BinaryOp::Add, x, residual)?, norm)
    }

    /// Scaled dot-product attention in which a token sees the tokens of its own sequence and no other.
    /// `qkv [tokens, 3 * heads * head_size]` holds query, key and value side by side, each `heads` heads wide;
    /// -> `[tokens, heads * head_size]`. Source: "Attention Is All You Need", §3.2.
    ///
    /// In less than `f32`, as [`AttentionSpec::precision`] allows, queries, keys, values and the weights of the
    /// softmax may be rounded before they are multiplied, to no fewer bits than bf16 has; scores, softmax and sums
    /// may not.
    ///
    /// The default rounds nothing and takes one sequence after another: ten operations and a stored matrix of scores,
    /// `[heads, length, length]`, for each. Override it to walk all sequences and heads at once with an online
    /// softmax, so that no matrix of scores is ever stored.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn attention(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<Self::Buffer>,
    ) -> Result<Tensor<Self>> {
        trace::default_body("attention");
        default_attention(self, qkv, spec, batch)
    }

    /// What [`attention`](Self::attention) multiplies values by, which it never stores: the softmax of the scaled products
    /// of queries and keys. `qkv [tokens, 3 * heads * head_size]` -> `[pairs, heads]`, with a row for each pair of a token
    /// and a token of its sequence that it looks at: sequence by sequence, query by query, key by key. For looking at
    /// a model; nothing is rounded, and nothing dropped.
    ///
    /// The default takes one sequence after another.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn attention_weights(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<Self::Buffer>,
    ) -> Result<Tensor<Self>> {
        trace::default_body("attention_weights");
        let weights = |rows: Range<usize>| -> Result<Tensor<Self>> {
            let pairs = rows.len() * rows.len();
            let [query, key, _] = heads(self, qkv, spec, rows)?;
            let weights = softmax_of_scores(self, &query, &key, spec.scale)?; // [heads, length, length]
            self.map(UnaryOp::Copy, &weights.permute(&[1, 2, 0])?)?.reshape([pairs, spec.heads])
        };
        let mut parts = sequences(batch).map(weights).collect::<Result<Vec<_>>>()?;
        if parts.len() == 1 { Ok(parts.remove(0)) } else { self.concat(&parts) }
    }

    /// Matrices of one width below one another: `[a, n]`, `[b, n]`, … -> `[a + b + …, n]`.
    ///
    /// None of the eight methods writes into a part of a tensor, so the default spreads each matrix over all rows,
    /// multiplies it by 1 where it belongs and by 0 elsewhere, and adds them up: exact, and the same bits for a row
    /// whatever stands beside it, as long as all numbers are finite; but it takes time that grows with
    /// `parts * rows * n`. Override it with copies.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn concat(&self, parts: &[Tensor<Self>]) -> Result<Tensor<Self>> {
        trace::default_body("concat");
        let rows = parts.iter().map(|part| part.shape()[0]).sum();
        let shape = Shape::from([rows, parts[0].shape()[1]]);
        // Adding zero to a part that stands alone, too, makes -0 the 0 that it is among others.
        let mut joined = self.upload(&HostTensor::from_vec(vec![0f32], [1, 1]))?.broadcast_to(shape)?;
        let mut start = 0;
        for part in parts {
            let own = start..start + part.shape()[0];
            let sources = (0..rows).map(|row| if own.contains(&row) { (row - start) as u32 } else { 0 });
            let sources = self.upload(&HostTensor::from_vec(sources.collect(), [rows]))?;
            let keep = (0..rows).map(|row| if own.contains(&row) { 1f32 } else { 0.0 });
            let keep = self.upload(&HostTensor::from_vec(keep.collect(), [rows, 1]))?.broadcast_to(shape)?;
            let spread = self.zip(BinaryOp::Mul, &self.gather_rows(part, &sources)?, &keep)?;
            joined = self.zip(BinaryOp::Add, &joined, &spread)?;
            start = own.end;
        }
        Ok(joined)
    }

    /// Sets some numbers to 0 and scales the others up, for training.
    ///
    /// The default multiplies by a mask that the host makes. Override it to make the mask in the kernel.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn dropout(&self, x: &Tensor<Self>, dropout: &Dropout) -> Result<Tensor<Self>> {
        trace::default_body("dropout");
        let mut factors = vec![1.0; x.shape().elements()];
        dropout.apply(0, &mut factors);
        let mask = self.upload(&HostTensor::from_vec(factors, x.shape()))?;
        self.zip(BinaryOp::Mul, x, &mask)
    }

    /// `exp(x) / sum(exp(x))` over the last axis, the maximum subtracted first.
    ///
    /// The default takes five passes. Override it to take one.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn softmax(&self, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        trace::default_body("softmax");
        let max = self.reduce(ReduceOp::Max, x)?.broadcast_to(x.shape())?;
        let exp = self.map(UnaryOp::Exp, &self.zip(BinaryOp::Sub, x, &max)?)?;
        let sum = self.reduce(ReduceOp::Sum, &exp)?.broadcast_to(x.shape())?;
        self.zip(BinaryOp::Div, &exp, &sum)
    }

    /// One vector per sequence: `x [tokens, hidden]` -> `[sequences, hidden]`.
    ///
    /// The default takes one sequence after another, as [`attention`](Self::attention) does; only [`Pooling::Cls`] is one operation. Override it to reduce
    /// all sequences at once.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn pool(
        &self,
        x: &Tensor<Self>,
        batch: &DeviceBatch<Self::Buffer>,
        pooling: Pooling,
    ) -> Result<Tensor<Self>> {
        trace::default_body("pool");
        let hidden = x.shape()[1];
        if pooling == Pooling::Cls {
            return self.gather_rows(x, &batch.device_bounds.slice(0, 0..batch.sequences())?);
        }
        let reduce = |rows: Range<usize>| -> Result<Tensor<Self>> {
            let length = rows.len() as f64;
            let (op, scale) = match pooling {
                Pooling::Max => (ReduceOp::Max, 1.0),
                Pooling::Mean => (ReduceOp::Sum, length.recip()),
                _ => (ReduceOp::Sum, length.sqrt().recip()),
            };
            let columns = x.slice(0, rows)?.permute(&[1, 0])?;
            self.map(UnaryOp::Scale(scale), &self.reduce(op, &columns)?)?.reshape([1, hidden])
        };
        self.concat(&sequences(batch).map(reduce).collect::<Result<Vec<_>>>()?)
    }

    // ---- provided: time -------------------------------------------------------------------------------

    /// Waits until everything asked for so far is done. For timing only: `download` waits by itself.
    ///
    /// The default downloads nothing, which is right wherever operations finish before they return.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn sync(&self) -> impl Future<Output = Result<()>> + MaybeSend {
        async { Ok(()) }
    }

    /// Does in advance what would slow down the first batch: compiles pipelines, starts threads.
    ///
    /// The default does nothing.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    fn warm_up(&self) -> Result<()> {
        Ok(())
    }

    /// The same backend; weights that it prepares from now on are looked for in `cache` and kept there. The results are
    /// the same bits.
    ///
    /// The default is `None`: the backend keeps nothing. Override it where packing a weight takes longer than reading
    /// it from a file.
    fn with_packed_cache(&self, _: &PackedCache) -> Option<Self> {
        None
    }

    /// What the device was asked to do since it was opened: submissions, kernels, bytes moved.
    ///
    /// The default does not count. Override it where work is recorded and submitted.
    fn counts(&self) -> Option<Counts> {
        None
    }
}

/// The default body of [`Backend::attention`], which overrides fall back to for what they do not have, such as dropout.
///
/// # Errors
/// As [`Backend::attention`].
pub fn default_attention<B: Backend>(
    backend: &B,
    qkv: &Tensor<B>,
    spec: &AttentionSpec,
    batch: &DeviceBatch<B::Buffer>,
) -> Result<Tensor<B>> {
    let attend = |(sequence, rows): (usize, Range<usize>)| -> Result<Tensor<B>> {
        let length = rows.len();
        let [query, key, value] = heads(backend, qkv, spec, rows)?;
        let mut weights = softmax_of_scores(backend, &query, &key, spec.scale)?; // [heads, length, length]
        if let Some(dropout) = spec.dropout {
            let random = dropout.random.numbered(sequence as u64);
            weights = backend.dropout(&weights, &Dropout { random, ..dropout })?;
        }

        // back to [length, hidden]
        let context = backend.matmul(&weights, &value)?.permute(&[1, 0, 2])?;
        backend.map(UnaryOp::Copy, &context)?.reshape([length, spec.heads * spec.head_size])
    };
    backend.concat(&sequences(batch).enumerate().map(attend).collect::<Result<Vec<_>>>()?)
}

/// Query, key and value of a sequence, each `[heads, length, head_size]`.
fn heads<B: Backend>(
    backend: &B,
    qkv: &Tensor<B>,
    spec: &AttentionSpec,
    rows: Range<usize>,
) -> Result<[Tensor<B>; 3]> {
    let AttentionSpec { heads, head_size, .. } = *spec;
    let hidden = heads * head_size;
    let part = |index: usize| -> Result<Tensor<B>> {
        let part = qkv.slice(0, rows.clone())?.slice(1, index * hidden..(index + 1) * hidden)?;
        backend.map(UnaryOp::Copy, &part)?.reshape([rows.len(), heads, head_size])?.permute(&[1, 0, 2])
    };
    Ok([part(0)?, part(1)?, part(2)?])
}

/// `query` and `key`, `[heads, length, head_size]` -> `[heads, length, length]`
fn softmax_of_scores<B: Backend>(
    backend: &B,
    query: &Tensor<B>,
    key: &Tensor<B>,
    scale: f64,
) -> Result<Tensor<B>> {
    let scores = backend.matmul(query, &key.permute(&[0, 2, 1])?)?;
    backend.softmax(&backend.map(UnaryOp::Scale(scale), &scores)?)
}

/// The rows of each sequence.
fn sequences<Buf>(batch: &DeviceBatch<Buf>) -> impl Iterator<Item = Range<usize>> + '_ {
    batch.bounds.windows(2).map(|pair| pair[0] as usize..pair[1] as usize)
}

/// Uploads a float tensor as `f32`, whatever it is stored as; an `f32` tensor is passed on as it is, so
/// that a backend can use mapped memory in place.
///
/// # Errors
/// [`Error::DType`](crate::Error::DType) for integers, and whatever the upload says.
pub fn upload_f32<B: Backend>(backend: &B, tensor: &HostTensor) -> Result<View<B::Buffer>> {
    if tensor.dtype() == DType::F32 {
        return backend.upload(tensor);
    }
    backend.upload(&HostTensor::from_array(tensor.to_f32()?.into_owned())?)
}
