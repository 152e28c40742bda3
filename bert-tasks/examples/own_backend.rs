//! A backend of one's own: eight methods, and every model runs on it. This one hands them on to the reference and
//! counts its matrix products.
//!
//! `cargo run -p bert-tasks --example own_backend -- path/to/all-MiniLM-L6-v2`
//!
//! `cargo xtask new-backend NAME` makes a crate that begins like this, with the tests that it has to pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bert_core::contract::{Backend, BackendInfo, BinaryOp, ReduceOp, Tensor, UnaryOp};
use bert_core::reference::Reference;
use bert_core::tensor::HostTensor;
use bert_core::train::TrainBackend;
use bert_tasks::embedding::cosine;
use bert_tasks::{Device, Embedding};

#[derive(Clone, Default)]
struct Counting {
    inner: Reference,
    products: Arc<AtomicUsize>,
}

impl Backend for Counting {
    type Buffer = <Reference as Backend>::Buffer;

    fn info(&self) -> BackendInfo {
        BackendInfo { name: "counting", ..self.inner.info() }
    }

    fn upload(&self, tensor: &HostTensor) -> bert_core::Result<Tensor<Self>> {
        self.inner.upload(tensor)
    }

    async fn download(&self, tensors: &[Tensor<Self>]) -> bert_core::Result<Vec<HostTensor>> {
        self.inner.download(tensors).await
    }

    fn gather_rows(&self, table: &Tensor<Self>, indices: &Tensor<Self>) -> bert_core::Result<Tensor<Self>> {
        self.inner.gather_rows(table, indices)
    }

    fn matmul(&self, a: &Tensor<Self>, b: &Tensor<Self>) -> bert_core::Result<Tensor<Self>> {
        self.products.fetch_add(1, Ordering::Relaxed);
        self.inner.matmul(a, b)
    }

    fn map(&self, op: UnaryOp, x: &Tensor<Self>) -> bert_core::Result<Tensor<Self>> {
        self.inner.map(op, x)
    }

    fn zip(&self, op: BinaryOp, a: &Tensor<Self>, b: &Tensor<Self>) -> bert_core::Result<Tensor<Self>> {
        self.inner.zip(op, a, b)
    }

    fn reduce(&self, op: ReduceOp, x: &Tensor<Self>) -> bert_core::Result<Tensor<Self>> {
        self.inner.reduce(op, x)
    }
}

/// Training, too, by default bodies.
impl TrainBackend for Counting {}

fn main() -> bert_tasks::Result<()> {
    let small = || bert_conformance::checkpoint("bert-embedding").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let text = "Paris is the capital of France.";

    let backend = Counting::default();
    let own = Embedding::load(&model, &Device::with_backend(backend.clone()))?.predict(text)?;
    println!("{} matrix products", backend.products.load(Ordering::Relaxed));

    let other = Embedding::load(&model, &Device::auto()?)?.predict(text)?;
    println!("the cosine with the answer of another device: {:.6}", cosine(&own.vector, &other.vector));
    Ok(())
}
