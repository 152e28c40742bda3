//! What a program that serves a model does with `bert-tasks`: any backend, threads that share a task, futures on tokio,
//! and texts that come one by one.
//!
//! `cargo run --manifest-path examples/consumer/Cargo.toml -- path/to/all-MiniLM-L6-v2`
//!
//! Without a model it takes a small one with random weights. It fails if an answer is wrong or late, so the gate runs it.

use std::error::Error;
use std::sync::Arc;
use std::thread;

use bert_backend_cpu::{CpuBackend, CpuOptions};
use bert_core::contract::{Backend, Precision};
use bert_core::graph::{Head, Model};
use bert_core::reference::Reference;
use bert_tasks::embedding::TextEmbedding;
use bert_tasks::{Batcher, Embedding, Pretrained, Session, Task};

mod slow;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bert-conformance/checkpoints/bert-embedding");
const TEXTS: [&str; 4] =
    ["a good movie", "not bad, and not good", "the bank of the river", "work at the bank"];

#[tokio::main]
async fn main() -> Result<()> {
    let model = std::env::args().nth(1).unwrap_or_else(|| SMALL.to_owned());
    // The oracle is slow, so it always has the small model.
    serve(Reference, SMALL).await?;
    serve(CpuBackend::new(CpuOptions::default())?, &model).await
}

/// Whatever the backend: its type ends here, and the task is the same for all.
async fn serve<B: Backend>(backend: B, model: &str) -> Result<()> {
    let files = Pretrained::open(model)?;
    let model = Model::load(backend, files.config().clone(), files.parameters(), Head::None, Precision::F32)?;
    let task = Embedding::new(Session::new(Arc::new(model), files.tokenizer().clone()));
    println!("{}", task.session().backend_info().name);
    let alone = TEXTS.iter().map(|text| task.predict(text)).collect::<bert_tasks::Result<Vec<_>>>()?;

    on_threads(&task, &alone)?;
    on_tokio(&task, &alone).await?;
    // It blocks, which a thread of the runtime must not.
    tokio::task::spawn_blocking(move || slow::producer(&task)).await?
}

/// Several threads of the system use one task.
fn on_threads(task: &Embedding, alone: &[TextEmbedding]) -> Result<()> {
    thread::scope(|scope| {
        let work = || TEXTS.iter().map(|text| task.predict(text)).collect::<bert_tasks::Result<Vec<_>>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            assert_eq!(thread.join().expect("no thread panics")?, alone, "the bits of one text alone");
        }
        println!("  4 threads have the answers that one has");
        Ok(())
    })
}

/// Futures on a runtime of several threads, which have to be `Send`: of the task itself, and of a batcher.
async fn on_tokio(task: &Embedding, alone: &[TextEmbedding]) -> Result<()> {
    let batcher = Batcher::new(task.clone())?;
    let spawned: Vec<_> = TEXTS
        .into_iter()
        .map(|text| {
            let (task, client) = (task.clone(), batcher.client());
            let itself = tokio::spawn(async move { task.predict_one_async(text).await });
            let batched = tokio::spawn(async move { client.submit(text)?.await });
            (itself, batched)
        })
        .collect();
    for ((itself, batched), alone) in spawned.into_iter().zip(alone) {
        assert_eq!(itself.await??, *alone, "the bits of one text alone");
        assert_eq!(batched.await??, *alone, "the bits of one text alone");
    }
    tokio::task::spawn_blocking(|| batcher.shutdown()).await?;
    println!("  so have futures on tokio, with and without a batcher");
    Ok(())
}
