//! The commands of `cargo xtask` that need the engine: conformance across backends, benches, the default models.
//!
//! A subcommand is a module with its `Args` and a `run`, one line in [`Command`] and one in [`main`]. They are a program
//! of their own so that whoever wants only what `xtask` itself does need not wait for all backends to compile.

mod bench;
mod conformance;
mod default_models;
mod error;
mod parity;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of this workspace that are not part of the product.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Conformance(conformance::Args),
    Bench(bench::Args),
    DefaultModels(default_models::Args),
    TrainingParity(parity::Args),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    if cfg!(debug_assertions) && command.measures() {
        return in_release();
    }
    let outcome = match command {
        Command::Conformance(args) => conformance::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::DefaultModels(args) => default_models::run(&args).map(|()| ExitCode::SUCCESS),
        Command::TrainingParity(args) => parity::run(&args).map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprint!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::from(2)
        }
    }
}

impl Command {
    /// Whether its times would mean nothing without optimisation.
    fn measures(&self) -> bool {
        match self {
            Self::Bench(args) => args.measures(),
            Self::Conformance(args) => args.measures(),
            Self::TrainingParity(_) => true,
            Self::DefaultModels(_) => false,
        }
    }
}

/// Builds this program in release, and does the same there.
fn in_release() -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command
        .args(["run", "--release", "--quiet", "--package", "workbench", "--"])
        .args(std::env::args_os().skip(1));
    match command.status() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2).into(),
        Err(error) => {
            eprintln!("error: cannot run cargo to build the benchmarks: {error}");
            ExitCode::from(2)
        }
    }
}

/// The root of the checkout. `cargo run` names this crate's folder; a binary started by hand remembers the
/// one that it was built in.
fn workspace_root() -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(manifest).ancestors().nth(2).expect("it lies in xtask, and that in the root").to_path_buf()
}
