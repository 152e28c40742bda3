//! The classic BERT tasks: fill-mask, next sentence, question answering, entities, sentiment, embeddings.

#[cfg(feature = "hub")]
pub mod hub;
pub mod tokenizer;
