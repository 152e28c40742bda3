//! How commands end.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is done.
    Done,
    /// The answer is no, and the user asked to be told by the exit status.
    Negative,
    /// Some inputs could not be answered, as has been said; the others were.
    Incomplete,
    /// A signal stopped it and it saved its work; the status is the one that shells give such a process.
    Stopped(u8),
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Negative => 1,
            Outcome::Incomplete => 2,
            Outcome::Stopped(status) => status,
        })
    }
}
