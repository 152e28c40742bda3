//! Evaluation: figures against the reference implementations, and whole runs on tiny checkpoints.

#[path = "../common/mod.rs"]
mod reference;
mod runs;
