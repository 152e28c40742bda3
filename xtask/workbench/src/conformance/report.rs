//! What came of a run, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use bert_conformance::perf::Timing;
use bert_conformance::{Outcome, Variant, Verdict};
use bert_core::contract::Precision;
use comfy_table::{CellAlignment, Table, presets};

/// Failures one by one, then a line for each operation and backend.
pub fn print(verdicts: &[Verdict], timings: &[(String, Vec<Timing>)], seed: u64) -> ExitCode {
    let mut text = String::new();
    let failed: Vec<_> = verdicts.iter().filter(|verdict| verdict.is_error()).collect();
    if !verdicts.is_empty() {
        for verdict in &failed {
            let Verdict { backend, case, .. } = verdict;
            let _ = writeln!(
                text,
                "{verdict}\n    again: cargo xtask conformance --backend {backend} --filter '{case}' --seed {seed}\n"
            );
        }
        let known = verdicts.iter().filter(|v| matches!(v.outcome, Outcome::KnownFailure(_))).count();
        let _ = writeln!(text, "{}", summary(verdicts));
        let _ = writeln!(
            text,
            "{} cases, {} failed, {known} known failures (seed {seed})",
            verdicts.len(),
            failed.len()
        );
    }
    if !timings.is_empty() {
        let _ = writeln!(text, "{}", times(timings));
    }
    // A closed pipe is the reader's choice.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
    let mut lines = BTreeMap::<(&str, String), Line>::new();
    for verdict in verdicts {
        let line = lines.entry((&verdict.backend, label(verdict))).or_default();
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
    let mut table = plain(["backend", "operation", "cases", "failed", "known", "max abs", "NMSE"]);
    for ((backend, operation), line) in lines {
        table.add_row([
            backend.to_owned(),
            operation,
            line.cases.to_string(),
            line.failed.to_string(),
            line.known.to_string(),
            format!("{:.1e}", line.max_abs),
            format!("{:.1e}", line.nmse),
        ]);
    }
    align(table, 2)
}

/// The operation, how it was run, and the precision unless that is `f32`.
fn label(verdict: &Verdict) -> String {
    let mut label = verdict.operation.clone();
    label += match verdict.variant {
        Variant::Required => "",
        Variant::Default => " default",
        Variant::Fused => " fused",
        Variant::Inherited => " not overridden",
    };
    if verdict.precision != Precision::F32 {
        let _ = write!(label, " {}", verdict.precision);
    }
    label
}

fn times(timings: &[(String, Vec<Timing>)]) -> Table {
    let mut table = plain(["backend", "operation", "default ms", "own ms", "times faster"]);
    for (backend, timings) in timings {
        for timing in timings {
            let own = timing.own.as_secs_f64() * 1e3;
            let default = timing.default.map(|default| default.as_secs_f64() * 1e3);
            let or_dash = |number: Option<String>| number.unwrap_or_else(|| "–".to_owned());
            table.add_row([
                backend.clone(),
                timing.case.clone(),
                or_dash(default.map(|default| format!("{default:.3}"))),
                format!("{own:.3}"),
                or_dash(default.map(|default| format!("{:.1}", default / own))),
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
