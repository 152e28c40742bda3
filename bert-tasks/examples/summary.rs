//! Summaries: the sentences of a text that say what it is about.
//!
//! `cargo run -p bert-tasks --example summary -- path/to/embedding-model ARCHITECTURE.md`
//!
//! Without a model it takes a small one with random weights, whose choice means nothing.

use bert_tasks::summary::{Length, Method, SummaryOptions};
use bert_tasks::{Device, Summarizer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let small = || bert_conformance::checkpoint("bert-embedding").display().to_string();
    let summarizer = Summarizer::load(&args.next().unwrap_or_else(small), &Device::auto()?)?;
    let text = match args.next() {
        Some(path) => std::fs::read_to_string(path)?,
        None => {
            "The river is long. It rises in the hills. The bank is closed. It ends in the sea.".to_owned()
        }
    };
    for (word, method) in Method::WORDS {
        let options = SummaryOptions { method, length: Length::Sentences(2), ..SummaryOptions::default() };
        println!("{word}:");
        for sentence in summarizer.summarize(&text, &options)?.sentences {
            println!("  {:?}  {}", sentence.range, sentence.text);
        }
    }
    Ok(())
}
