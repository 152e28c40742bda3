//! Evaluation: figures against the reference implementations, and whole runs on tiny checkpoints.

#[path = "../common/mod.rs"]
mod common;

mod reference;
mod runs;
