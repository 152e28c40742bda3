//! Where the time goes: a backend around a backend that writes down every call.
//!
//! ```
//! use bert_core::{Backend, contract::ReduceOp, observe::profile::Profile, reference::Reference, tensor::HostTensor};
//! let backend = Profile::new(Reference);
//! let a = backend.upload(&HostTensor::from_vec(vec![1.0f32; 6], [2, 3]))?;
//! let b = backend.upload(&HostTensor::from_vec(vec![1.0f32; 12], [3, 4]))?;
//! backend.take(); // forget the uploads
//! backend.matmul(&a, &b)?;
//! let calls = backend.take();
//! assert_eq!((calls[0].operation, calls[0].flops), ("matmul", 2 * 2 * 3 * 4));
//! # Ok::<(), bert_core::Error>(())
//! ```
//!
//! What a call of a coarse operation does inside is one call: the backend's own eight methods are not seen
//! when its default bodies use them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Result;
use crate::contract::{
    Activation, AttentionSpec, Backend, BackendInfo, BinaryOp, Counts, DeviceBatch, Dropout, EmbeddingTables,
    LayerNorm, Linear, Pooling, Precision, ReduceOp, Tensor, UnaryOp, WeightSource,
};
use crate::tensor::{HostTensor, Shape};

/// One call of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The method of the trait, and the activation that follows a linear layer: `linear gelu`.
    pub operation: &'static str,
    /// The shape of the first input.
    pub input: Shape,
    /// The shape of the result.
    pub output: Shape,
    /// Arithmetic of the products in it, a multiply-add counted as two: `2 m k n` of a product, `4 l² hidden`
    /// of attention over `l` tokens. Other operations move numbers more than they compute, and count as 0.
    pub flops: u64,
    /// From the call to its end.
    pub time: Duration,
}

/// Passes every call on to `B` and writes down how long it took. Clones write to the same list.
#[derive(Clone, Debug)]
pub struct Profile<B> {
    inner: B,
    wait: fn(&B) -> Result<()>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl<B: Backend> Profile<B> {
    /// For a backend whose operations are done when they return.
    pub fn new(inner: B) -> Self {
        Self::waiting(inner, |_| Ok(()))
    }

    /// For a backend that only queues its operations: `wait` blocks until [`Backend::sync`] is through.
    pub fn waiting(inner: B, wait: fn(&B) -> Result<()>) -> Self {
        Self { inner, wait, calls: Arc::default() }
    }

    /// The calls since the last time, in order.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.list())
    }

    fn list(&self) -> MutexGuard<'_, Vec<Call>> {
        // A list of finished calls is in order whatever happened to a thread that held it.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timed(
        &self,
        operation: &'static str,
        input: Shape,
        flops: u64,
        call: impl FnOnce(&B) -> Result<Tensor<B>>,
    ) -> Result<Tensor<B>> {
        let start = Instant::now();
        let result = call(&self.inner)?;
        (self.wait)(&self.inner)?;
        let time = start.elapsed();
        self.list().push(Call { operation, input, output: result.shape(), flops, time });
        Ok(result)
    }
}

/// The extents of a shape as factors of a count that may be large.
fn product(extents: &[usize]) -> u64 {
    extents.iter().map(|&extent| extent as u64).product()
}

impl<B: Backend> Backend for Profile<B> {
    type Buffer = B::Buffer;

    fn info(&self) -> BackendInfo {
        self.inner.info()
    }

    fn upload(&self, tensor: &HostTensor) -> Result<Tensor<Self>> {
        self.timed("upload", tensor.shape(), 0, |inner| inner.upload(tensor))
    }

    async fn download(&self, tensors: &[Tensor<Self>]) -> Result<Vec<HostTensor>> {
        let start = Instant::now();
        let host = self.inner.download(tensors).await?;
        let shape = Shape::from([tensors.iter().map(|tensor| tensor.shape().elements()).sum()]);
        let call =
            Call { operation: "download", input: shape, output: shape, flops: 0, time: start.elapsed() };
        self.list().push(call);
        Ok(host)
    }

    fn gather_rows(&self, table: &Tensor<Self>, indices: &Tensor<Self>) -> Result<Tensor<Self>> {
        self.timed("gather_rows", table.shape(), 0, |inner| inner.gather_rows(table, indices))
    }

    fn matmul(&self, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        let columns = b.shape()[b.shape().rank() - 1] as u64;
        self.timed("matmul", a.shape(), 2 * product(&a.shape()) * columns, |inner| inner.matmul(a, b))
    }

    fn map(&self, op: UnaryOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        self.timed("map", x.shape(), 0, |inner| inner.map(op, x))
    }

    fn zip(&self, op: BinaryOp, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        self.timed("zip", a.shape(), 0, |inner| inner.zip(op, a, b))
    }

    fn reduce(&self, op: ReduceOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        self.timed("reduce", x.shape(), 0, |inner| inner.reduce(op, x))
    }

    fn upload_all(&self, tensors: &[HostTensor]) -> Result<Vec<Tensor<Self>>> {
        let start = Instant::now();
        let views = self.inner.upload_all(tensors)?;
        (self.wait)(&self.inner)?;
        let shape = Shape::from([tensors.iter().map(|tensor| tensor.shape().elements()).sum()]);
        let time = start.elapsed();
        self.list().push(Call { operation: "upload", input: shape, output: shape, flops: 0, time });
        Ok(views)
    }

    fn prepare_weight(
        &self,
        weight: WeightSource<'_, Self::Buffer>,
        precision: Precision,
    ) -> Result<Self::Buffer> {
        let (start, shape) = (Instant::now(), weight.shape());
        let buffer = self.inner.prepare_weight(weight, precision)?;
        (self.wait)(&self.inner)?;
        let (input, output, time) = (shape, shape, start.elapsed());
        self.list().push(Call { operation: "prepare_weight", input, output, flops: 0, time });
        Ok(buffer)
    }

    fn linear(
        &self,
        x: &Tensor<Self>,
        layer: &Linear<Self::Buffer>,
        activation: Activation,
    ) -> Result<Tensor<Self>> {
        let operation = match activation {
            Activation::Identity => "linear",
            Activation::Gelu => "linear gelu",
            Activation::GeluTanh => "linear gelu_tanh",
            Activation::Relu => "linear relu",
            Activation::Tanh => "linear tanh",
        };
        let flops = 2 * product(&[x.shape()[0], layer.in_features, layer.out_features]);
        self.timed(operation, x.shape(), flops, |inner| inner.linear(x, layer, activation))
    }

    fn embed(
        &self,
        tables: &EmbeddingTables<Self::Buffer>,
        batch: &DeviceBatch<Self::Buffer>,
    ) -> Result<Tensor<Self>> {
        self.timed("embed", batch.ids.shape(), 0, |inner| inner.embed(tables, batch))
    }

    fn layer_norm(&self, x: &Tensor<Self>, norm: &LayerNorm<Self::Buffer>) -> Result<Tensor<Self>> {
        self.timed("layer_norm", x.shape(), 0, |inner| inner.layer_norm(x, norm))
    }

    fn add_layer_norm(
        &self,
        x: &Tensor<Self>,
        residual: &Tensor<Self>,
        norm: &LayerNorm<Self::Buffer>,
    ) -> Result<Tensor<Self>> {
        self.timed("add_layer_norm", x.shape(), 0, |inner| inner.add_layer_norm(x, residual, norm))
    }

    fn attention(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<Self::Buffer>,
    ) -> Result<Tensor<Self>> {
        let hidden = spec.heads * spec.head_size;
        let flops = batch.lengths().map(|length| 4 * product(&[length, length, hidden])).sum();
        self.timed("attention", qkv.shape(), flops, |inner| inner.attention(qkv, spec, batch))
    }

    fn attention_weights(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<Self::Buffer>,
    ) -> Result<Tensor<Self>> {
        let hidden = spec.heads * spec.head_size;
        let flops = batch.lengths().map(|length| 2 * product(&[length, length, hidden])).sum();
        self.timed("attention_weights", qkv.shape(), flops, |inner| inner.attention_weights(qkv, spec, batch))
    }

    fn concat(&self, parts: &[Tensor<Self>]) -> Result<Tensor<Self>> {
        self.timed("concat", parts[0].shape(), 0, |inner| inner.concat(parts))
    }

    fn dropout(&self, x: &Tensor<Self>, dropout: &Dropout) -> Result<Tensor<Self>> {
        self.timed("dropout", x.shape(), 0, |inner| inner.dropout(x, dropout))
    }

    fn softmax(&self, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        self.timed("softmax", x.shape(), 0, |inner| inner.softmax(x))
    }

    fn pool(
        &self,
        x: &Tensor<Self>,
        batch: &DeviceBatch<Self::Buffer>,
        pooling: Pooling,
    ) -> Result<Tensor<Self>> {
        self.timed("pool", x.shape(), 0, |inner| inner.pool(x, batch, pooling))
    }

    async fn sync(&self) -> Result<()> {
        self.inner.sync().await
    }

    fn warm_up(&self) -> Result<()> {
        self.inner.warm_up()
    }

    fn counts(&self) -> Option<Counts> {
        self.inner.counts()
    }
}
