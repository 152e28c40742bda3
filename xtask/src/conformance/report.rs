//! What came of a run, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets};

use super::perf::Timing;
use super::suite::{Outcome, Verdict};
use super::tolerance::Tolerance;
use crate::error::Result;

/// Failures one by one, then a line for each operation and backend; or, as a page for readers, a matrix.
pub fn print(
    verdicts: &[Verdict],
    timings: &[(String, Vec<Timing>)],
    as_matrix: bool,
    seed: u64,
) -> Result<ExitCode> {
    let failed = verdicts.iter().filter(|verdict| verdict.is_error()).count();
    let mut text = String::new();
    if as_matrix {
        text += &matrix(verdicts);
    } else if !verdicts.is_empty() {
        for verdict in verdicts.iter().filter(|verdict| verdict.is_error()) {
            text += &failure(verdict, seed);
        }
        let known = verdicts.iter().filter(|v| matches!(v.outcome, Outcome::KnownFailure(_))).count();
        let _ = writeln!(text, "{}", summary(verdicts));
        let _ = writeln!(text, "{} cases, {failed} failed, {known} known failures", verdicts.len());
    }
    if !timings.is_empty() {
        let _ = writeln!(text, "{}", times(timings));
    }
    // A closed pipe is the reader's choice.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn failure(verdict: &Verdict, seed: u64) -> String {
    let Verdict { backend, case, tolerance, .. } = verdict;
    let what = match &verdict.outcome {
        Outcome::KnownFailurePassed(reason) => {
            format!("it passes but is listed as a known failure ({reason}); remove it from the list")
        }
        Outcome::Failed(text) => text.clone(),
        Outcome::Passed(_) | Outcome::KnownFailure(_) => return String::new(),
    };
    let Tolerance { max_abs, nmse, reason } = tolerance;
    format!(
        "FAILED {backend}: {case}\n    {what}\n    allowed: max abs {max_abs:.0e}, NMSE {nmse:.0e} ({reason})\n    \
         again: cargo xtask conformance --backend {backend} --filter '{case}' --seed {seed}\n\n"
    )
}

/// How the cases of one operation on one backend ended.
#[derive(Default)]
struct Line {
    cases: usize,
    failed: usize,
    known: usize,
    max_abs: f64,
    nmse: f64,
}

/// By backend and operation.
fn lines(verdicts: &[Verdict]) -> BTreeMap<(&str, &str), Line> {
    let mut lines = BTreeMap::<(&str, &str), Line>::new();
    for verdict in verdicts {
        let line = lines.entry((&verdict.backend, &verdict.operation)).or_default();
        line.cases += 1;
        line.failed += usize::from(verdict.is_error());
        match &verdict.outcome {
            Outcome::Passed(difference) => {
                line.max_abs = line.max_abs.max(difference.max_abs);
                line.nmse = line.nmse.max(difference.nmse);
            }
            Outcome::KnownFailure(_) => line.known += 1,
            Outcome::Failed(_) | Outcome::KnownFailurePassed(_) => {}
        }
    }
    lines
}

fn summary(verdicts: &[Verdict]) -> Table {
    let mut table = plain(["backend", "operation", "cases", "failed", "known", "max abs", "NMSE"]);
    for ((backend, operation), line) in lines(verdicts) {
        table.add_row([
            backend.to_owned(),
            operation.to_owned(),
            line.cases.to_string(),
            line.failed.to_string(),
            line.known.to_string(),
            format!("{:.1e}", line.max_abs),
            format!("{:.1e}", line.nmse),
        ]);
    }
    align(table, 2)
}

/// A row an operation, a column a backend: the largest error, or how many cases fail.
fn matrix(verdicts: &[Verdict]) -> String {
    let lines = lines(verdicts);
    let backends: BTreeSet<_> = lines.keys().map(|(backend, _)| *backend).collect();
    let operations: BTreeSet<_> = lines.keys().map(|(_, operation)| *operation).collect();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(std::iter::once("operation").chain(backends.iter().copied()));
    for operation in operations {
        let cells = backends.iter().map(|backend| match lines.get(&(*backend, operation)) {
            None => "–".to_owned(),
            Some(Line { failed: 0, known: 0, max_abs, .. }) => format!("{max_abs:.0e}"),
            Some(line) => format!("{} of {} wrong", line.failed + line.known, line.cases),
        });
        table.add_row(std::iter::once(operation.to_owned()).chain(cells));
    }
    format!("The largest error of each operation, absolute or relative, whichever is smaller.\n\n{table}\n")
}

fn times(timings: &[(String, Vec<Timing>)]) -> Table {
    let mut table = plain(["backend", "operation", "default ms", "own ms", "times faster"]);
    for (backend, timings) in timings {
        for timing in timings {
            let (default, own) = (timing.default.as_secs_f64() * 1e3, timing.own.as_secs_f64() * 1e3);
            table.add_row([
                backend.clone(),
                timing.case.clone(),
                format!("{default:.3}"),
                format!("{own:.3}"),
                format!("{:.1}", default / own),
            ]);
        }
    }
    align(table, 2)
}

fn plain<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    table
}

/// Numbers stand at the right.
fn align(mut table: Table, words: usize) -> Table {
    for column in table.column_iter_mut().skip(words) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
