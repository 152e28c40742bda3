//! All tests that use the crate from outside, as one program: linking one is quicker than linking twenty.

mod any;
mod batcher;
mod bias;
mod common;
mod data;
#[cfg(feature = "cpu")]
mod device;
mod distillation;
mod embedding;
mod evaluation;
mod explain;
mod families;
mod fill_mask;
mod generation;
mod invariance;
mod lora;
mod question_answering;
mod requests;
mod sequence_tasks;
mod sparse_embedding;
mod stream;
mod summary;
mod token_classification;
mod tokenizer;
mod training;
