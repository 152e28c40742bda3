//! Features: hidden states token by token. The same word has another vector in another sentence.
//!
//! `cargo run -p bert-tasks --example word_in_context -- bert-cli/models/english-mlm`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use bert_tasks::embedding::cosine;
use bert_tasks::features::FeaturesOptions;
use bert_tasks::{Device, Features};

fn main() -> bert_tasks::Result<()> {
    let small = || bert_conformance::checkpoint("bert-embedding").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    // The last two layers, one after the other.
    let options = FeaturesOptions { layers: vec![-2, -1] };
    let features = Features::load(&model, &Device::auto()?)?.with_options(options)?;

    let vector_of = |word: &str, text: &str| -> bert_tasks::Result<Vec<f32>> {
        let start = text.find(word).expect("the text has the word");
        let span = features.predict(text)?.span(start..start + word.len());
        Ok(span.expect("the text is short enough for the model to see the word"))
    };
    let money = vector_of("bank", "She works for a bank, with money.")?;
    for text in ["He lives by the bank of the river.", "The bank in London has your money."] {
        println!("{:.3}  {text}", cosine(&money, &vector_of("bank", text)?));
    }
    Ok(())
}
