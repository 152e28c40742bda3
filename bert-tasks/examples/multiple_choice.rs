//! Multiple choice: which of several endings goes best with a beginning.
//!
//! `cargo run -p bert-tasks --example multiple_choice -- path/to/a-swag-model`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use bert_tasks::{Device, MultipleChoice};

fn main() -> bert_tasks::Result<()> {
    let small = || bert_conformance::checkpoint("bert-multiple-choice").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let multiple_choice = MultipleChoice::load(&model, &Device::auto()?)?;

    let prompt = "She opened the fridge and";
    let choices = ["took out the milk.", "flew to the moon.", "is the capital of France."];
    let answer = multiple_choice.predict(prompt, &choices)?;
    for (index, (choice, probability)) in choices.iter().zip(&answer.probabilities).enumerate() {
        let mark = if index == answer.best { "*" } else { " " };
        println!("{mark} {probability:.3}  {prompt} {choice}");
    }
    Ok(())
}
