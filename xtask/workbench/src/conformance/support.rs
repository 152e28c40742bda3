//! What each backend supports: `docs/backends.md` and the table of the README.
//!
//! Both are made from `docs/results/conformance.json`, which holds what was measured, where and when. A run
//! replaces the records of the backends that it is given. A check measures nothing: it makes the pages again
//! from the file, and compares what does not depend on the machine (which operations are overridden, in which
//! precisions, within which limit) with the backends that are here.

mod page;
mod record;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bert_conformance::{Mode, Plan};

use super::registry::{self, Subject};
use super::report;
use crate::error::{Error, Result};
use record::{Record, Results};

/// Measures, records and writes; or checks.
///
/// # Errors
/// An unknown backend, a file that cannot be read or written, an operation that cannot be timed.
pub fn run(backends: &[String], seed: u64, check: bool) -> Result<ExitCode> {
    let root = crate::workspace_root();
    let results = Results::read(&path(&root))?;
    let subjects = registry::chosen(backends)?;
    if check { check_all(&root, &results, &subjects) } else { record_all(&root, results, &subjects, seed) }
}

fn path(root: &Path) -> PathBuf {
    root.join("docs/results/conformance.json")
}

fn record_all(root: &Path, mut results: Results, subjects: &[Subject], seed: u64) -> Result<ExitCode> {
    for subject in subjects {
        eprintln!("{} …", subject.name);
        let plan = Plan { modes: vec![Mode::Ops, Mode::Fused], ..Plan::all(seed) };
        let verdicts = subject.run(&plan);
        if verdicts.iter().any(bert_conformance::Verdict::is_error) {
            eprintln!("nothing is written: fix the backends that fail first");
            return Ok(report::print(&verdicts, &[], seed));
        }
        let timings = if subject.is_software {
            eprintln!("SKIPPED {}: times of a software GPU mean nothing", subject.name);
            vec![]
        } else {
            subject.measure(&plan)?
        };
        results.backends.insert(subject.name.clone(), Record::new(subject, &verdicts, &timings));
    }
    results.write(&path(root))?;
    for (path, text) in page::all(root, &results)? {
        std::fs::write(&path, text).map_err(Error::file("write", &path))?;
        eprintln!("written: {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn check_all(root: &Path, results: &Results, subjects: &[Subject]) -> Result<ExitCode> {
    let mut stale = vec![];
    for (path, text) in page::all(root, results)? {
        let found = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        if found != text {
            stale.push(format!("{} is not up to date with docs/results/conformance.json", path.display()));
        }
    }
    for subject in subjects {
        // Enough to see what is overridden.
        let plan = Plan { modes: vec![Mode::Ops, Mode::Fused], most_work: 3_000, ..Plan::all(1) };
        let found = Record::new(subject, &subject.run(&plan), &[]);
        match results.backends.get(&subject.name) {
            Some(recorded) => stale.extend(recorded.differences(&subject.name, &found)),
            None => eprintln!("SKIPPED {}: docs/results/conformance.json holds no run of it", subject.name),
        }
    }
    for line in &stale {
        println!("STALE {line}");
    }
    if stale.is_empty() {
        println!("docs/backends.md and README.md are up to date with the backends");
        return Ok(ExitCode::SUCCESS);
    }
    println!("again: cargo xtask conformance --mode support --backend NAMES-OF-THE-STALE-ONES");
    Ok(ExitCode::FAILURE)
}
