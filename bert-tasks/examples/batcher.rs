//! A batcher: any number of clients submit a text when they have one, and what waits is computed together.
//!
//! `cargo run -p bert-tasks --example batcher -- path/to/a-sentiment-model`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use std::thread;

use bert_tasks::{Batcher, Device, TextClassification};

fn main() -> bert_tasks::Result<()> {
    let small = || bert_conformance::checkpoint("bert-sequence-classification").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let batcher = Batcher::new(TextClassification::load(&model, &Device::auto()?)?)?;

    thread::scope(|scope| {
        for number in 0..3 {
            // Clients take turns: one with many texts does not hold up the others.
            let client = batcher.client();
            scope.spawn(move || -> bert_tasks::Result<()> {
                let texts = (0..=number * 4).map(|index| format!("It is movie {index}, and a good one."));
                // All are submitted before the first answer is waited for. A full queue is an error here.
                let replies = texts.map(|text| client.submit(text)).collect::<Result<Vec<_>, _>>()?;
                let count = replies.len();
                for reply in replies {
                    let answer = reply.wait()?;
                    assert!(!answer.scores.is_empty());
                }
                println!("client {number} has its answers to {count} texts");
                Ok(())
            });
        }
    });
    // Answers what was accepted, and ends.
    batcher.shutdown();
    Ok(())
}
