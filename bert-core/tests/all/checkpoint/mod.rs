//! Checkpoints as they are, as they should not be, and as an attacker would write them.

mod files;

mod folder;
mod hostile;
mod mutated;
mod names;
mod real;
mod safetensors;
mod torch;

use bert_core::Error;
use bert_core::checkpoint::{Checkpoint, CheckpointError};

#[test]
fn a_checkpoint_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Checkpoint>();
    shared::<CheckpointError>();
}

/// The error of a checkpoint that must not open.
fn refused(bytes: Vec<u8>) -> CheckpointError {
    checkpoint_error(Checkpoint::from_bytes(bytes).map(drop))
}

/// The checkpoint error in a result that must not be right.
fn checkpoint_error<T>(result: Result<T, Error>) -> CheckpointError {
    match result {
        Err(Error::Checkpoint(error)) => error,
        Err(other) => panic!("an error of another kind: {other}"),
        Ok(_) => panic!("this should have been refused"),
    }
}

/// An error and its causes in one line, as a program prints them.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
