//! Question answering: decoding against a plain reading of SQuAD's rules, on logits that are made up; the
//! whole way through a tiny random model; and the data sets with their official figures.

mod decoding;
mod inputs;
mod planted;
mod real_texts;
mod squad;
