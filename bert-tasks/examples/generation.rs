//! Generation: a masked language model suggests next words, and writes.
//!
//! `cargo run -p bert-tasks --example generation -- bert-cli/models/english-mlm`
//!
//! Without a model it takes a small one with random weights, whose texts mean nothing.

use bert_tasks::generation::{CompletionOptions, GenerationOptions, Method};
use bert_tasks::{Device, Generation};

fn main() -> bert_tasks::Result<()> {
    let small = || bert_conformance::checkpoint("bert-masked-lm").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let generation = Generation::load(&model, &Device::auto()?)?;

    let text = "Thank you for";
    for suggestion in generation.complete(text, &CompletionOptions::default())?.suggestions {
        println!("{:.3}  {text}{}", suggestion.score, suggestion.text);
    }

    for (word, method) in Method::WORDS {
        let options =
            GenerationOptions { method, length: 16, keep_steps: true, ..GenerationOptions::default() };
        let best = generation.generate("The old man", &options)?.texts.swap_remove(0);
        println!("{word}, {} passes: {}", best.steps.len(), best.text);
    }
    Ok(())
}
