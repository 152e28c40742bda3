//! Embeddings: an index of texts, searched by meaning.
//!
//! `cargo run -p bert-tasks --example embed_and_search -- path/to/all-MiniLM-L6-v2 "Where is the money?"`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use bert_tasks::{Device, Embedding};

fn main() -> bert_tasks::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let small = || bert_conformance::checkpoint("bert-embedding").display().to_string();
    let model = arguments.next().unwrap_or_else(small);
    let query = arguments.next().unwrap_or_else(|| "Which city is the capital of France?".to_owned());
    let embedding = Embedding::load(&model, &Device::auto()?)?;

    let texts = [
        "Paris is the capital of France.",
        "The bank of the river is not in London.",
        "He works for a bank, with money.",
        "That is a good movie!",
    ];
    let index = embedding.index(texts.map(String::from))?;
    println!("{} vectors of {} numbers", index.len(), embedding.dimensions());
    for hit in index.search(&embedding.predict(&query)?.vector, 2) {
        println!("{:.3}  {}", hit.score, texts[hit.index]);
    }
    Ok(())
}
