//! Evaluation: figures against the reference implementations, and whole runs on tiny checkpoints.

mod reference;
mod runs;
