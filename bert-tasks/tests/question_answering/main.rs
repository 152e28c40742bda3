//! Question answering: decoding against a plain reading of SQuAD's rules, on logits that are made up; and
//! the whole way through a tiny random model.

#[path = "../common/mod.rs"]
mod common;

mod decoding;
mod inputs;
mod planted;
