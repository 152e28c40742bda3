//! Sentiment: which label a text has. The model may be an adapter over another.
//!
//! `cargo run -p bert-tasks --example sentiment -- bert-cli/models/english-mlm bert-cli/models/english-sentiment`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use bert_tasks::{Device, Precision, Pretrained, Task, TextClassification};

fn main() -> bert_tasks::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let small = || bert_conformance::checkpoint("bert-sequence-classification").display().to_string();
    let mut files = Pretrained::open(&arguments.next().unwrap_or_else(small))?;
    if let Some(adapter) = arguments.next() {
        files = files.with_adapter(adapter)?;
    }
    let classifier = TextClassification::from_pretrained(&files, &Device::auto()?, Precision::F32)?;

    let reviews = ["A gorgeous, witty, seductive movie.", "That was a bad movie, and not a short one."];
    // Answers come in the order of the texts, however they are put into batches.
    for (review, answer) in reviews.iter().zip(classifier.stream(reviews)) {
        let best = &answer?.scores[0];
        println!("{:.3}  {:8}  {review}", best.score, best.label);
    }
    Ok(())
}
