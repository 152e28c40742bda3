//! What came of a run, for people.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets};

use super::Args;
use super::suite::{Outcome, Verdict};
use crate::error::{Error, Result};

/// Failures one by one, then a line for each operation and backend.
pub fn print(verdicts: &[Verdict], args: &Args) -> Result<ExitCode> {
    if verdicts.is_empty() {
        return Err(Error::NoCase { filter: args.filter.clone() });
    }
    let mut text = String::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.is_error()) {
        text += &failure(verdict, args.seed);
    }
    text += &format!("{}\n", summary(verdicts));
    let failed = verdicts.iter().filter(|verdict| verdict.is_error()).count();
    let known = verdicts.iter().filter(|v| matches!(v.outcome, Outcome::KnownFailure(_))).count();
    text += &format!("{} cases, {failed} failed, {known} known failures\n", verdicts.len());
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
    format!(
        "FAILED {backend}: {case}\n    {what}\n    allowed: max abs {:.0e}, NMSE {:.0e}\n    again: cargo xtask \
         conformance --backend {backend} --filter '{case}' --seed {seed}\n\n",
        tolerance.max_abs, tolerance.nmse
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

fn summary(verdicts: &[Verdict]) -> Table {
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
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["backend", "operation", "cases", "failed", "known", "max abs", "NMSE"]);
    for ((backend, operation), line) in lines {
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
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
