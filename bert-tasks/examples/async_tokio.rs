//! Asynchronous code: a task in the futures of tokio, alone and through a batcher. Any other runtime will do.
//!
//! `cargo run -p bert-tasks --example async_tokio -- path/to/a-sentiment-model`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use std::sync::Arc;

use bert_tasks::{Batcher, Device, Task, TextClassification};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let small = || bert_conformance::checkpoint("bert-sequence-classification").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let device = Device::open_async("auto", Default::default()).await?;
    let classifier = Arc::new(TextClassification::load(&model, &device)?);

    // One text alone. On a GPU the future waits; on a CPU it computes where it is polled, for as long as that takes.
    let shared = classifier.clone();
    let alone = tokio::spawn(async move { shared.predict_one_async("That is a good movie!").await });
    let alone = alone.await??;
    println!("alone: {} {:.3}", alone.scores[0].label, alone.scores[0].score);

    // Many at once. A batcher computes on a thread of its own, so that no future ever holds up the runtime.
    let batcher = Batcher::new(TextClassification::clone(&classifier))?;
    let texts = ["That is a good movie!", "A bad movie.", "You will not like it."];
    let answers: Vec<_> = texts
        .into_iter()
        .map(|text| {
            let client = batcher.client();
            tokio::spawn(async move { client.submit(text)?.await })
        })
        .collect();
    for (text, answer) in texts.iter().zip(answers) {
        let answer = answer.await??;
        println!("{} {:.3}  {text}", answer.scores[0].label, answer.scores[0].score);
        // The same bits, alone or in a batch.
        assert!(text != &texts[0] || answer == alone);
    }
    // It waits for its thread, hence not here but where blocking is allowed.
    tokio::task::spawn_blocking(|| batcher.shutdown()).await?;
    Ok(())
}
