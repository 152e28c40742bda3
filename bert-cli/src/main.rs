//! The command bert: classic BERT tasks from the terminal, offline, with an embedded default model.

// Docs of arguments are their help, where [MASK] is a word and no link.
#![allow(rustdoc::broken_intra_doc_links)]

mod batch;
mod built_in;
mod cli;
mod commands;
mod energy;
mod error;
#[cfg(feature = "hub")]
mod hub;
mod input;
mod model;
mod outcome;
mod output;
mod reporter;
mod signals;
mod style;
mod values;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use error::Error;
use reporter::Reporter;

fn main() -> ExitCode {
    #[cfg(feature = "wgpu")]
    quiet_drivers();
    let cli = cli::Cli::parse();
    let reporter = Reporter::new(cli.reporter);
    let result = run(cli, &reporter);
    reporter.report();
    match result {
        Ok(outcome) => outcome.into(),
        Err(Error::ClosedPipe) => ExitCode::SUCCESS,
        Err(error) => {
            reporter.error(error::describe(&error));
            if let Some(hint) = error.hint() {
                reporter.hint(hint);
            }
            ExitCode::from(2)
        }
    }
}

/// Keeps Mesa from asking the desktop which GPU it draws with where there is no desktop: it complains on stderr then,
/// once for each question.
#[cfg(feature = "wgpu")]
fn quiet_drivers() {
    const SWITCH: &str = "NODEVICE_SELECT";
    let desktop =
        std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|folder| std::path::Path::new(&folder).is_dir());
    if !desktop && std::env::var_os(SWITCH).is_none() {
        // SAFETY: no other thread runs yet that could read the environment.
        unsafe { std::env::set_var(SWITCH, "1") };
    }
}

/// Runs the command, and says what energy it took if that was asked for.
fn run(cli: cli::Cli, reporter: &Reporter) -> error::Result<outcome::Outcome> {
    reporter.count_energy(cli.energy.start()?);
    let outcome = cli.command.run(reporter, &cli.energy, cli::Cli::command)?;
    cli.energy.report(reporter)?;
    Ok(outcome)
}
