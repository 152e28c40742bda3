//! Several threads share one task: it is `Send` and `Sync`, and its methods take `&self`.
//!
//! `cargo run -p bert-tasks --example thread_pool -- path/to/all-MiniLM-L6-v2`
//!
//! Without a model it takes a small one with random weights. Where many threads have a text each, `batcher` computes
//! them together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bert_tasks::{Device, Embedding};

fn main() -> bert_tasks::Result<()> {
    let small = || bert_conformance::checkpoint("bert-embedding").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let embedding = Embedding::load(&model, &Device::auto()?)?;
    let texts: Vec<String> = (0..1000).map(|index| format!("It is movie {index}.")).collect();

    // Each thread takes the next text that none has taken.
    let next = AtomicUsize::new(0);
    let work = || -> bert_tasks::Result<usize> {
        let mut done = 0;
        while let Some(text) = texts.get(next.fetch_add(1, Ordering::Relaxed)) {
            embedding.predict(text)?;
            done += 1;
        }
        Ok(done)
    };
    let counts = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().expect("no thread panics");
        threads.into_iter().map(join).collect::<bert_tasks::Result<Vec<usize>>>()
    })?;
    println!("{} texts on 4 threads: {counts:?}", counts.iter().sum::<usize>());
    Ok(())
}
