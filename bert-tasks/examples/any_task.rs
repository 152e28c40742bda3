//! Any task by its word: JSON in, JSON out, for programs that learn at run time which task they serve.
//!
//! `cargo run -p bert-tasks --example any_task -- fill-mask bert-cli/models/english-mlm '{"text": "a [MASK] movie"}'`
//!
//! Without arguments it fills a mask by a small model with random weights, whose answers mean nothing.

use bert_tasks::{AnyTask, Device};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let word = arguments.next().unwrap_or_else(|| "fill-mask".to_owned());
    let small = || bert_conformance::checkpoint("bert-masked-lm").display().to_string();
    let model = arguments.next().unwrap_or_else(small);
    let request = arguments.next().unwrap_or_else(|| r#"{"text": "a [MASK] movie", "top_k": 2}"#.to_owned());

    let task = AnyTask::load(&word, &model, &Device::auto()?)?;
    println!("{}", task.ask(serde_json::from_str(&request)?)?);
    // What the task does not know is an error that says what it knows.
    println!("{}", task.ask(serde_json::json!({ "txt": "a text" })).unwrap_err());
    Ok(())
}
