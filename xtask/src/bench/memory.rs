//! Peak memory and the time to a first answer, in a process of its own.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::workload::Case;
use super::{Options, load};
use crate::error::{Error, Result};

/// What it takes to get from a checkpoint on disk to an answer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Start {
    /// Bytes of the checkpoint's files.
    pub weight_bytes: u64,
    /// The largest resident set until the model was loaded; `None` where the system does not tell.
    pub peak_bytes_loaded: Option<u64>,
    /// The same until the first answer, to 128 tokens.
    pub peak_bytes_answered: Option<u64>,
    /// Milliseconds from nothing to the loaded model.
    pub loaded_ms: f64,
    /// Milliseconds from nothing to the first answer.
    pub answered_ms: f64,
}

/// Starts this program again: a peak can only be measured in a process that has done nothing else.
///
/// # Errors
/// [`Error::Child`] if it did not end well.
pub fn measure_in_child(folder: &Path, options: &Options) -> Result<Start> {
    let program = std::env::current_exe().map_err(Error::file("find", Path::new("this program")))?;
    let mut command = Command::new(&program);
    command.arg("bench").arg("--start-only").arg("--model").arg(folder);
    command.arg("--precision").arg(options.precision.to_string());
    if let Some(threads) = options.threads {
        command.arg("--threads").arg(threads.to_string());
    }
    let output = command.output().map_err(Error::file("run", &program))?;
    serde_json::from_slice(&output.stdout).map_err(|_| Error::Child {
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Loads and answers, in this process.
///
/// # Errors
/// A checkpoint that cannot be loaded.
pub fn measure(folder: &Path, options: &Options) -> Result<Start> {
    let start = Instant::now();
    let elapsed = || start.elapsed().as_secs_f64() * 1e3;
    let model = load::model(load::cpu(options)?, folder, options.precision)?;
    let (loaded_ms, peak_bytes_loaded) = (elapsed(), peak_bytes());
    load::forward(&model, &Case::B1s128.batch(load::config(&model)))?;
    let (answered_ms, peak_bytes_answered) = (elapsed(), peak_bytes());
    let weight_bytes = weight_bytes(folder)?;
    Ok(Start { weight_bytes, peak_bytes_loaded, peak_bytes_answered, loaded_ms, answered_ms })
}

/// Of all files with weights in a folder.
fn weight_bytes(folder: &Path) -> Result<u64> {
    let entries = std::fs::read_dir(folder).map_err(Error::file("read", folder))?;
    let mut bytes = 0;
    for entry in entries {
        let path = entry.map_err(Error::file("read", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors" || extension == "bin") {
            bytes += path.metadata().map_err(Error::file("read", &path))?.len();
        }
    }
    Ok(bytes)
}

/// The largest resident set of this process so far.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
