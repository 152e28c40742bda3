//! Question answering: which words of a text answer a question.
//!
//! `cargo run -p bert-tasks --example answer -- path/to/a-squad-model`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use bert_tasks::question_answering::QuestionAnsweringOptions;
use bert_tasks::{Device, QuestionAnswering};

fn main() -> bert_tasks::Result<()> {
    let small = || bert_conformance::checkpoint("bert-question-answering").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let options = QuestionAnsweringOptions { top_k: 3, ..QuestionAnsweringOptions::default() };
    let question_answering = QuestionAnswering::load(&model, &Device::auto()?)?.with_options(options)?;

    // Of any length: a context that does not fit is read through overlapping windows.
    let context = "Paris is the capital of France. London is the capital of England, and not of France.";
    let found = question_answering.predict("What is the capital of England?", context)?;
    for answer in &found.answers {
        println!("{:.3}  {}  (bytes {:?})", answer.score, answer.text, answer.range);
    }
    println!("{:.3}  no answer", found.no_answer_score);
    Ok(())
}
