//! `cargo xtask`: conformance across backends, benches, models and data for tests.
//!
//! What needs no engine is here: a module with its `Args` and a `run`, one line in [`Command`] and one in [`main`]. The
//! rest are commands of `workbench`, which is compiled when one of them is asked for.

mod error;
mod models;
mod new_backend;

use std::error::Error;
use std::ffi::OsString;
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
    /// Bring trained checkpoints for the tests into target/models.
    Models(models::Args),
    NewBackend(new_backend::Args),
    /// Check every operation of backends on hard inputs, the models on them, and what their kernels cost.
    Conformance(Rest),
    /// Measure the CPU backend: forward passes against the limits of this machine, starts, accuracy, training.
    Bench(Rest),
    /// Train the default models from public data, a step at a time.
    DefaultModels(Rest),
    /// Record a run of training, or score a model, to compare training with another implementation.
    TrainingParity(Rest),
}

/// Words for the workbench.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
struct Rest {
    /// Its options; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    words: Vec<OsString>,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Models(args) => models::run(&args),
        Command::NewBackend(args) => new_backend::run(&args),
        Command::Conformance(rest) => return workbench("conformance", rest),
        Command::Bench(rest) => return workbench("bench", rest),
        Command::DefaultModels(rest) => return workbench("default-models", rest),
        Command::TrainingParity(rest) => return workbench("training-parity", rest),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
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

/// Builds the workbench and runs one of its commands.
fn workbench(command: &str, rest: Rest) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut run = std::process::Command::new(cargo);
    run.args(["run", "--quiet", "--package", "workbench", "--", command]).args(rest.words);
    match run.status() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2).into(),
        Err(error) => {
            eprintln!("error: cannot run cargo to build the workbench: {error}");
            ExitCode::from(2)
        }
    }
}

/// The root of the checkout. `cargo run` names this crate's folder; a binary started by hand remembers the
/// one that it was built in.
fn workspace_root() -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(manifest).parent().expect("xtask lies in the workspace root").to_path_buf()
}
