//! The one error type of the workbench. A message does not repeat its cause; `main` prints the chain of sources.

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

    /// A backend that this build does not have.
    #[error("there is no backend {found:?} here; the known ones are {known}")]
    NoBackend { found: String, known: String },

    /// A backend that this machine cannot run.
    #[error("backend {name} cannot be used here")]
    Backend { name: String, source: Box<dyn std::error::Error + Send + Sync> },

    /// The CPU backend cannot be made, for example because `BERT_THREADS` is not a number.
    #[error(transparent)]
    Cpu(#[from] bert_backend_cpu::CpuError),

    /// An operation that was to be timed does not work.
    #[error("timing stopped")]
    Timing(#[from] bert_conformance::Fault),

    /// A model that cannot be loaded, or does not take a batch.
    #[error(transparent)]
    Core(#[from] bert_core::Error),

    /// The process that measures a start ended without an answer.
    #[error("the process that measures the start ended with {status} and says:\n{stderr}")]
    Child { status: std::process::ExitStatus, stderr: String },

    /// A file that was to hold other engines' times.
    #[error("{} holds no table that begins with a column `peer`", path.display())]
    NoPeers { path: PathBuf },

    /// A file of recorded results that is none.
    #[error("{} holds no results of conformance runs; remove it and record them again", path.display())]
    Results { path: PathBuf, source: serde_json::Error },

    /// A page that has lost the place of its table.
    #[error("{} has no lines {begin:?} and {end:?}, between which the table belongs", path.display())]
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
