//! All tests of the command, as one program: linking one is quicker than linking fifteen.

mod bias;
mod common;
mod distil;
mod energy;
mod evaluate;
mod explain;
mod generate;
#[cfg(feature = "hub")]
mod hub;
mod inputs;
mod models;
mod outputs;
mod packed_cache;
mod pretrain;
#[cfg(feature = "serve")]
mod serve;
mod summarize;
mod tasks;
mod tokenizer;
mod train;
mod train_errors;
mod train_tasks;
#[cfg(feature = "wgpu")]
mod wgpu;
