//! The numbers of a run, for people and for files.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use bert_backend_cpu::limits::Limits;
use bert_core::backend::BackendInfo;
use bert_core::ops::Precision;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::clock::Times;
use super::memory::Start;
use super::peers::Peer;
use super::workload::Case;
use super::{Bound, Timed};
use crate::error::{Error, Result};

/// All that is known of a run.
#[derive(Debug, Serialize)]
pub struct Run {
    /// RFC 3339, UTC.
    date: String,
    cpu: String,
    instructions: Vec<String>,
    threads: Option<usize>,
    model: String,
    precision: String,
    limits: LimitsOfRun,
    start: Start,
    cases: Vec<Timed>,
}

#[derive(Debug, Serialize)]
struct LimitsOfRun {
    f32_gflops: f64,
    f32_gflops_one_thread: f64,
    read_gbytes: f64,
}

impl Run {
    /// Puts a run together.
    pub fn new(
        info: &BackendInfo,
        limits: Limits,
        folder: &Path,
        precision: Precision,
        start: Start,
        cases: Vec<Timed>,
    ) -> Self {
        let Limits { f32_gflops, f32_gflops_one_thread, read_gbytes, .. } = limits;
        Self {
            date: jiff::Timestamp::now().round(jiff::Unit::Second).expect("seconds divide a day").to_string(),
            cpu: info.device.clone(),
            instructions: info.features.clone(),
            threads: info.threads,
            model: folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            precision: precision.to_string(),
            limits: LimitsOfRun { f32_gflops, f32_gflops_one_thread, read_gbytes },
            start,
            cases,
        }
    }

    /// Writes it as JSON, by a temporary file and a rename.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("names and numbers");
        let partial = path.with_extension(format!("{}.tmp", std::process::id()));
        std::fs::write(&partial, text + "\n").map_err(Error::file("write", &partial))?;
        std::fs::rename(&partial, path).map_err(Error::file("rename to", path))
    }
}

/// What this machine can do.
pub fn limits(info: &BackendInfo, limits: &Limits) {
    say(&limits_text(
        &info.device,
        &info.features,
        info.threads,
        limits.f32_gflops,
        limits.f32_gflops_one_thread,
        limits.read_gbytes,
    ));
}

fn limits_text(
    cpu: &str,
    instructions: &[String],
    threads: Option<usize>,
    gflops: f64,
    one_thread: f64,
    gbytes: f64,
) -> String {
    format!(
        "{cpu}, {}, {} threads\nlimits: {gflops:.1} GFLOP/s in f32 ({one_thread:.1} of one thread), reads \
         {gbytes:.1} GB/s\n",
        instructions.join(" "),
        threads.unwrap_or(1)
    )
}

/// For scripts: milliseconds of one case.
pub fn one_line(case: Case, times: &Times) {
    let line = serde_json::json!({
        "case": case.name(), "runs": times.runs, "ms": round(times.ms), "min": round(times.min),
        "max": round(times.max), "tokens_per_s": (case.tokens() as f64 / times.ms * 1e3).round(),
    });
    say(&format!("{line}\n"));
}

fn round(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

/// Everything.
pub fn print(run: &Run, peers: &[Peer]) {
    let LimitsOfRun { f32_gflops, f32_gflops_one_thread, read_gbytes } = run.limits;
    let (cpu, threads) = (&run.cpu, run.threads);
    let mut text =
        limits_text(cpu, &run.instructions, threads, f32_gflops, f32_gflops_one_thread, read_gbytes);
    let _ = writeln!(text, "{} in {}, {}\n", run.model, run.precision, run.date);
    let _ = writeln!(text, "{}\n", times(run));
    let _ = writeln!(
        text,
        "The floor is the larger of FLOP / limit and of reading all linear weights once. FLOP = layers × (2 \
         tokens × hidden × (4 hidden + 2 intermediate) + Σ 4 length² × hidden).\n"
    );
    let _ = writeln!(text, "Share of the time, and GFLOP/s where arithmetic is counted:\n{}\n", shares(run));
    if !peers.is_empty() {
        let _ = writeln!(text, "How many times the time of this run others take:\n{}\n", ratios(run, peers));
    }
    text += &start(&run.start);
    say(&text);
}

fn times(run: &Run) -> Table {
    let mut table = plain([
        "case",
        "tokens",
        "runs",
        "median ms",
        "min",
        "max",
        "tokens/s",
        "GFLOP",
        "GFLOP/s",
        "floor ms",
        "% of limit",
    ]);
    for timed in &run.cases {
        let floor = if timed.bound == Bound::Memory { " (memory)" } else { "" };
        table.add_row([
            timed.case.name(),
            timed.tokens.to_string(),
            timed.times.runs.to_string(),
            format!("{:.2}", timed.times.ms),
            format!("{:.2}", timed.times.min),
            format!("{:.2}", timed.times.max),
            format!("{:.0}", timed.tokens_per_s),
            format!("{:.1}", timed.gflop),
            format!("{:.1}", timed.gflop / timed.times.ms * 1e3),
            format!("{:.2}{floor}", timed.floor_ms),
            format!("{:.0}", 100.0 * timed.floor_ms / timed.times.ms),
        ]);
    }
    aligned(table)
}

fn shares(run: &Run) -> Table {
    let mut operations: Vec<&str> = vec![];
    for share in run.cases.iter().flat_map(|timed| &timed.shares) {
        if !operations.contains(&share.operation.as_str()) {
            operations.push(&share.operation);
        }
    }
    let mut table =
        plain(std::iter::once("operation".to_owned()).chain(run.cases.iter().map(|t| t.case.name())));
    for operation in operations {
        let cells = run.cases.iter().map(|timed| {
            let Some(share) = timed.shares.iter().find(|share| share.operation == operation) else {
                return "–".to_owned();
            };
            let rate = share.gflops.map_or_else(String::new, |gflops| format!(" {gflops:>6.1}"));
            format!("{:.1} %{rate:7}", 100.0 * share.share)
        });
        table.add_row(std::iter::once(operation.to_owned()).chain(cells));
    }
    aligned(table)
}

fn ratios(run: &Run, peers: &[Peer]) -> Table {
    let mut table =
        plain(std::iter::once("engine".to_owned()).chain(run.cases.iter().map(|t| t.case.name())));
    for peer in peers {
        let cells = run.cases.iter().map(|timed| {
            let theirs = peer.ms.iter().find(|(case, _)| *case == timed.case.name());
            theirs.map_or_else(|| "–".to_owned(), |(_, ms)| format!("{:.2}", ms / timed.times.ms))
        });
        table.add_row(std::iter::once(peer.name.clone()).chain(cells));
    }
    aligned(table)
}

fn start(start: &Start) -> String {
    let weights = start.weight_bytes;
    let part = |peak: Option<u64>| match peak {
        Some(peak) => {
            format!("{:.0} MB, {:.2} × the weights", peak as f64 / 1e6, peak as f64 / weights as f64)
        }
        None => "memory not known on this system".to_owned(),
    };
    format!(
        "From disk ({:.0} MB of weights): loaded in {:.0} ms ({}), first answer to 128 tokens after {:.0} ms \
         ({})\n",
        weights as f64 / 1e6,
        start.loaded_ms,
        part(start.peak_bytes_loaded),
        start.answered_ms,
        part(start.peak_bytes_answered),
    )
}

fn plain(header: impl IntoIterator<Item = impl Into<comfy_table::Cell>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.into_iter().map(Into::into).collect::<Vec<comfy_table::Cell>>());
    table
}

/// Numbers stand at the right.
fn aligned(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A closed pipe is the reader's choice.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
