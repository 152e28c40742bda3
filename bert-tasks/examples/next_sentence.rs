//! Next sentence: how probable it is that one text follows another.
//!
//! `cargo run -p bert-tasks --example next_sentence -- path/to/bert-base-uncased`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use bert_tasks::{Device, NextSentence};

fn main() -> bert_tasks::Result<()> {
    let small = || bert_conformance::checkpoint("bert-next-sentence").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let next_sentence = NextSentence::load(&model, &Device::auto()?)?;

    let first = "He works at the bank.";
    for second in ["The money is good.", "Penguins cannot fly."] {
        let answer = next_sentence.predict(first, second)?;
        println!("{:.3}  {first} {second}", answer.is_next);
    }
    Ok(())
}
