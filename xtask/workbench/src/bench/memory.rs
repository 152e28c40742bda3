//! Memory, and the time to a first answer, in a process of its own.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use bert_core::contract::Precision;
use bert_core::graph::Encoder;
use serde::{Deserialize, Serialize};

use super::load;
use super::results::{Start, Steady};
use super::workload::Case;
use crate::error::{Error, Result};

/// Calls of a steady process.
const CALLS: usize = 1000;

/// What the process says.
#[derive(Serialize, Deserialize)]
struct Report {
    loaded_ms: f64,
    answered_ms: f64,
    peak_bytes_loaded: Option<u64>,
    peak_bytes_answered: Option<u64>,
    bytes_early: Option<u64>,
    bytes_late: Option<u64>,
}

/// From a checkpoint on disk to an answer.
///
/// # Errors
/// [`Error::Child`] if the process did not end well.
pub fn start(model: &str, folder: &Path, precision: Precision) -> Result<Start> {
    let report = in_child(folder, precision, 1)?;
    Ok(Start {
        model: model.to_owned(),
        precision: precision.to_string(),
        weight_bytes: weight_bytes(folder)?,
        peak_bytes_loaded: report.peak_bytes_loaded,
        peak_bytes_answered: report.peak_bytes_answered,
        loaded_ms: report.loaded_ms,
        answered_ms: report.answered_ms,
    })
}

/// Many answers to sequences of all lengths.
///
/// # Errors
/// [`Error::Child`] if the process did not end well.
pub fn steady(model: &str, folder: &Path, precision: Precision) -> Result<Steady> {
    let Report { bytes_early, bytes_late, .. } = in_child(folder, precision, CALLS)?;
    let (model, precision) = (model.to_owned(), precision.to_string());
    Ok(Steady { model, precision, calls: CALLS, bytes_early, bytes_late })
}

/// Starts this program again: a peak can only be measured in a process that has done nothing else.
fn in_child(folder: &Path, precision: Precision, calls: usize) -> Result<Report> {
    let program = std::env::current_exe().map_err(Error::file("find", Path::new("this program")))?;
    let mut command = Command::new(&program);
    command.arg("bench").arg("--start-only").arg(calls.to_string());
    command.arg("--precision").arg(precision.to_string()).arg("--model").arg(folder);
    let output = command.output().map_err(Error::file("run", &program))?;
    serde_json::from_slice(&output.stdout).map_err(|_| Error::Child {
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Loads and answers in this process, and prints what that took.
///
/// # Errors
/// A checkpoint that cannot be loaded.
pub fn report(folder: &Path, threads: Option<usize>, precision: Precision, calls: usize) -> Result<()> {
    let start = Instant::now();
    let elapsed = || start.elapsed().as_secs_f64() * 1e3;
    let model = load::model(load::cpu(threads)?, folder, precision)?;
    let (loaded_ms, peak_bytes_loaded) = (elapsed(), resident("VmHWM:"));
    load::forward(&model, &Case::B1s128.batch(model.config()))?;
    let (answered_ms, peak_bytes_answered) = (elapsed(), resident("VmHWM:"));
    let mut bytes_early = None;
    for call in 1..calls {
        load::forward(&model, &Case::single(1 + 31 * call % 128, model.config()))?;
        if call == calls / 10 {
            bytes_early = resident("VmRSS:");
        }
    }
    let bytes_late = resident("VmRSS:");
    let report =
        Report { loaded_ms, answered_ms, peak_bytes_loaded, peak_bytes_answered, bytes_early, bytes_late };
    println!("{}", serde_json::to_string(&report).expect("plain numbers"));
    Ok(())
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

/// The most memory that this process has held so far, in bytes; `None` where the system does not tell.
pub fn peak() -> Option<u64> {
    resident("VmHWM:")
}

/// Bytes in memory: the most so far or now, by the name that Linux gives them; `None` elsewhere.
fn resident(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
