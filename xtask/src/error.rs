//! The one error type of xtask. A message does not repeat its cause; `main` prints the chain of sources.

use std::io;
use std::path::{Path, PathBuf};

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can stop a task.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read, written, renamed or locked.
    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },

    /// There is no Python to run.
    #[error("cannot run {python:?} (install Python 3.8 or later, or name one with PYTHON=/path/to/python3)")]
    NoPython { python: String, source: io::Error },

    /// Python runs but has no pip.
    #[error(
        "{python:?} has no pip; install it (`apt install python3-pip` or `{python} -m ensurepip`), or name a Python that has it with PYTHON=/path/to/python3"
    )]
    NoPip { python: String },

    /// pip did not bring the package: no network, no such version, or a file with another hash.
    #[error(
        "pip could not fetch {package}=={version} with sha256 {sha256}; is the package index within reach? pip says:\n{output}"
    )]
    Fetch { package: &'static str, version: &'static str, sha256: &'static str, output: String },

    /// A step of a recipe failed after the download.
    #[error("{model}: `{command}` failed and says:\n{output}")]
    Step { model: &'static str, command: String, output: String },

    /// The package came but does not hold what the recipe expects.
    #[error("{model}: the package holds no {file}; the recipe in xtask/src/models.rs does not fit it")]
    NotInPackage { model: &'static str, file: String },

    /// A backend that this build does not have.
    #[error("there is no backend {found:?} here; known are {known}")]
    NoBackend { found: String, known: String },

    /// A backend that this machine cannot run.
    #[error("backend {name} cannot be used here")]
    Backend { name: String, source: Box<dyn std::error::Error + Send + Sync> },

    /// The CPU backend cannot be made, for example because `BERT_THREADS` is no number.
    #[error(transparent)]
    Cpu(#[from] bert_backend_cpu::CpuError),

    /// An operation that was to be timed does not work.
    #[error("timing stopped")]
    Timing(#[from] bert_conformance::Fault),

    /// A model that cannot be loaded, or does not take a batch.
    #[error(transparent)]
    Core(#[from] bert_core::Error),

    /// The process that measures a start ended without an answer.
    #[error("the process that measures a start ended with {status} and says:\n{stderr}")]
    Child { status: std::process::ExitStatus, stderr: String },

    /// A file that was to hold other engines' times.
    #[error("{} holds no table that begins with a column `peer`", path.display())]
    NoPeers { path: PathBuf },

    /// A file of recorded results that is none.
    #[error("{} holds no results of conformance runs; remove it and record them again", path.display())]
    Results { path: PathBuf, source: serde_json::Error },

    /// A page that has lost the place of its table.
    #[error("{} has no lines {begin:?} and {end:?}, between which a table belongs", path.display())]
    NoMarkers { path: PathBuf, begin: &'static str, end: &'static str },

    /// A step that the recipe of the default models does not have.
    #[error("the recipe has no step {found:?}; its steps are {known}")]
    NoStep { found: String, known: String },

    /// The weights of an adapter that is to be packed.
    #[error("the weights of an adapter cannot be packed")]
    Pack(#[from] safetensors::SafeTensorError),

    /// A command of the recipe of the default models failed, or was stopped.
    #[error("step {step} ended with {status}")]
    Recipe { step: &'static str, status: std::process::ExitStatus },

    /// A name that a crate and a device cannot have.
    #[error("a backend cannot be called {found:?}: {reason}")]
    BackendName { found: String, reason: &'static str },

    /// A workspace whose members are not listed in the way that is known.
    #[error("{} has no line `members = [...]` to add a crate to", path.display())]
    NoMembers { path: PathBuf },

    /// A file that was to hold the results of a bench.
    #[error("{} does not hold the results of a bench", path.display())]
    BenchResults { path: PathBuf, source: serde_json::Error },

    /// A table that cannot be read.
    #[error("cannot read {}", path.display())]
    Csv { path: PathBuf, source: csv::Error },

    /// A model or a data set for a task.
    #[error(transparent)]
    Tasks(#[from] bert_tasks::Error),

    /// A generated text that is not what would be generated now.
    #[error("{} is not up to date; run {command}", path.display())]
    Outdated { path: PathBuf, command: &'static str },

    /// A filter that leaves nothing.
    #[error("no case has a name that contains {filter:?}")]
    NoCase { filter: String },
}

impl Error {
    /// For `map_err` on an operation with a file: what was tried, and on which path.
    pub fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::File { action, path: path.to_path_buf(), source }
    }
}
