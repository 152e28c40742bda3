//! The command bert: classic BERT tasks from the terminal, offline, with an embedded default model.

// Docs of arguments are their help, where [MASK] is a word and no link.
#![allow(rustdoc::broken_intra_doc_links)]

mod batch;
mod built_in;
mod cli;
mod commands;
mod error;
#[cfg(feature = "hub")]
mod hub;
mod input;
mod model;
mod output;
mod signals;
mod style;
mod talk;

use std::process::ExitCode;

use clap::Parser;

use error::Error;
use talk::Talk;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
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

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let talk = Talk::new(cli.talk);
    let result = cli.command.run(&talk);
    talk.report();
    match result {
        Ok(outcome) => outcome.into(),
        Err(Error::ClosedPipe) => ExitCode::SUCCESS,
        Err(error) => {
            talk.error(error::describe(&error));
            if let Some(hint) = error.hint() {
                talk.hint(hint);
            }
            ExitCode::from(2)
        }
    }
}
