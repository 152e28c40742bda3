//! A backend without its overrides.

use std::future::Future;

use bert_core::contract::{Backend, BackendInfo, BinaryOp, MaybeSend, Precision, ReduceOp, Tensor, UnaryOp};
use bert_core::{Result, tensor::HostTensor};

/// Passes on the eight required methods and no coarse operation, so that each of those runs its default body on
/// the kernels of `B`; and `sync`, as nobody else knows when those kernels are done.
#[derive(Clone)]
pub struct Defaults<B>(pub B);

impl<B: Backend> Backend for Defaults<B> {
    type Buffer = B::Buffer;

    fn info(&self) -> BackendInfo {
        // The default `prepare_weight` knows f32 alone.
        BackendInfo { precisions: vec![Precision::F32], ..self.0.info() }
    }

    fn upload(&self, tensor: &HostTensor) -> Result<Tensor<Self>> {
        self.0.upload(tensor)
    }

    fn download(
        &self,
        tensors: &[Tensor<Self>],
    ) -> impl Future<Output = Result<Vec<HostTensor>>> + MaybeSend {
        self.0.download(tensors)
    }

    fn gather_rows(&self, table: &Tensor<Self>, indices: &Tensor<Self>) -> Result<Tensor<Self>> {
        self.0.gather_rows(table, indices)
    }

    fn matmul(&self, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        self.0.matmul(a, b)
    }

    fn map(&self, op: UnaryOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        self.0.map(op, x)
    }

    fn zip(&self, op: BinaryOp, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        self.0.zip(op, a, b)
    }

    fn reduce(&self, op: ReduceOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        self.0.reduce(op, x)
    }

    fn sync(&self) -> impl Future<Output = Result<()>> + MaybeSend {
        self.0.sync()
    }
}
