//! Similarity: how alike two texts are.
//!
//! `cargo run -p bert-tasks --example similarity -- path/to/all-MiniLM-L6-v2`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use bert_tasks::{Device, Similarity};

fn main() -> bert_tasks::Result<()> {
    let small = || bert_conformance::checkpoint("bert-embedding").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let similarity = Similarity::load(&model, &Device::auto()?)?;

    let first = "He works for a bank, with money.";
    for second in ["She lives for her work at the bank.", "The river is in England."] {
        println!("{:.3}  {second}", similarity.predict(first, second)?.cosine);
    }
    Ok(())
}
