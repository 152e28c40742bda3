//! Sparse embeddings: weights of words, for search engines that index words.
//!
//! `cargo run -p bert-tasks --example sparse_embedding -- path/to/a-splade-model`
//!
//! Without a model it takes a small one with random weights, whose answers mean nothing.

use bert_tasks::{Device, SparseEmbedding};

fn main() -> bert_tasks::Result<()> {
    let small = || bert_conformance::checkpoint("bert-masked-lm").display().to_string();
    let model = std::env::args().nth(1).unwrap_or_else(small);
    let sparse = SparseEmbedding::load(&model, &Device::auto()?)?;

    let document = sparse.predict("Paris is the capital of France.")?;
    for word in document.words.iter().take(5) {
        println!("{:.3}  {}", word.weight, word.token_str);
    }
    let query = sparse.predict("Which city is the capital of France?")?;
    println!("{:.3}  the dot product of query and document", query.dot(&document));
    Ok(())
}
