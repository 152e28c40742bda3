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
        "pip could not fetch {package}=={version} with sha256 {sha256}; can this machine reach the package index? pip says:\n{output}"
    )]
    Fetch { package: &'static str, version: &'static str, sha256: &'static str, output: String },

    /// A step of a recipe failed after the download.
    #[error("{model}: `{command}` failed and says:\n{output}")]
    Step { model: &'static str, command: String, output: String },

    /// The package came but does not hold what the recipe expects.
    #[error("{model}: the package holds no {file}; the recipe in xtask/src/models.rs does not match it")]
    NotInPackage { model: &'static str, file: String },

    /// A name that a crate and a device cannot have.
    #[error("a backend cannot be called {found:?}: {reason}")]
    BackendName { found: String, reason: &'static str },

    /// A workspace whose members are not listed in the way that is known.
    #[error("{} has no line `members = [...]` to add a crate to", path.display())]
    NoMembers { path: PathBuf },
}

impl Error {
    /// For `map_err` on an operation with a file: what was tried, and on which path.
    pub fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::File { action, path: path.to_path_buf(), source }
    }
}
