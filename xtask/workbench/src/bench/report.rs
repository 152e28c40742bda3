//! The numbers of a run, for people and for scripts.

use std::fmt::Write as _;
use std::io::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::bounds::{self, Held};
use super::clock::Times;
use super::results::{Accuracy, Bound, Forward, Limits, Results, Start, Steady, Training};

/// For scripts: milliseconds of one case.
pub fn one_line(case: &str, tokens: usize, times: &Times) {
    let line = serde_json::json!({
        "case": case, "runs": times.runs, "ms": round(times.ms), "min": round(times.min),
        "max": round(times.max), "tokens_per_s": (tokens as f64 / times.ms * 1e3).round(),
    });
    say(&format!("{line}\n"));
}

/// For scripts: how fast texts become vectors, and the share of the time of all threads that tokenisation takes.
pub fn texts_line(texts: usize, tokens: usize, tokenise_ms: f64, threads: usize, times: &Times) {
    let line = serde_json::json!({
        "case": "texts", "runs": times.runs, "ms": round(times.ms), "min": round(times.min),
        "max": round(times.max), "texts_per_s": (texts as f64 / times.ms * 1e3).round(),
        "tokens": tokens, "tokenise_ms_one_thread": round(tokenise_ms),
        "tokenise_share": round(tokenise_ms / (times.ms * threads as f64)),
    });
    say(&format!("{line}\n"));
}

fn round(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

/// Everything.
pub fn print(results: &Results) {
    let Results { cpu, instructions, date, limits, forward, starts, steady, .. } = results;
    let mut text = format!("{cpu}, {}, {date}\n", instructions.join(" "));
    limits.iter().for_each(|limits| text += &limits_line(limits));
    if !forward.is_empty() {
        let _ = write!(
            text,
            "\n{}\n\nThe floor is the larger of FLOP / limit and of reading all linear weights once. FLOP = layers × \
             (2 tokens × hidden × (4 hidden + 2 intermediate) + Σ 4 length² × hidden).\n\nShare of the time, and \
             GFLOP/s where arithmetic is counted:\n",
            times(forward)
        );
        for group in forward.chunk_by(|a, b| key(a) == key(b)) {
            let (model, precision, threads) = key(&group[0]);
            let _ = write!(text, "\n{model} in {precision} with {threads} threads\n{}\n", shares(group));
        }
        if !results.engines.is_empty() {
            let _ = write!(text, "\nHow many times the time of this run others take:\n{}\n", ratios(results));
        }
    }
    if !results.training.is_empty() {
        let _ = write!(
            text,
            "\n{}\n\nA step is three times the FLOP of a forward pass with its decoder, and 28 bytes of traffic a \
             parameter.\n",
            training(&results.training)
        );
    }
    starts.iter().for_each(|start| text += &start_line(start));
    steady.iter().for_each(|steady| text += &steady_line(steady));
    if !results.accuracy.is_empty() {
        let _ = write!(text, "\n{}\n", accuracy(results));
    }
    say(&text);
}

fn key(forward: &Forward) -> (&str, &str, usize) {
    (&forward.model, &forward.precision, forward.threads)
}

fn limits_line(limits: &Limits) -> String {
    let rates: Vec<_> = limits.gflops.iter().map(|(name, rate)| format!("{rate:.1} in {name}")).collect();
    let (threads, rates) = (limits.threads, rates.join(", "));
    format!("limits of {threads} threads: GFLOP/s {rates}; reads {:.1} GB/s\n", limits.read_gbytes)
}

fn times(forward: &[Forward]) -> Table {
    let mut table = plain([
        "model",
        "precision",
        "threads",
        "case",
        "runs",
        "median ms",
        "min",
        "max",
        "tokens/s",
        "GFLOP/s",
        "floor ms",
        "% of limit",
    ]);
    for timed in forward {
        let floor = timed.floor.map(|floor| {
            let bound = if floor.bound == Bound::Memory { " (memory)" } else { "" };
            (format!("{:.2}{bound}", floor.ms), format!("{:.0}", 100.0 * floor.ms / timed.times.ms))
        });
        let (floor, percent) = floor.unwrap_or_else(|| ("–".to_owned(), "–".to_owned()));
        table.add_row([
            timed.model.clone(),
            timed.precision.clone(),
            timed.threads.to_string(),
            timed.case.name(),
            timed.times.runs.to_string(),
            format!("{:.2}", timed.times.ms),
            format!("{:.2}", timed.times.min),
            format!("{:.2}", timed.times.max),
            format!("{:.0}", timed.tokens_per_s),
            format!("{:.1}", timed.gflop / timed.times.ms * 1e3),
            floor,
            percent,
        ]);
    }
    aligned(table)
}

fn training(steps: &[Training]) -> Table {
    let mut table = plain([
        "model",
        "precision",
        "threads",
        "step",
        "runs",
        "median ms",
        "min",
        "max",
        "tokens/s",
        "peak MB",
        "floor ms",
        "% of limit",
    ]);
    for step in steps {
        let Training { model, precision, threads, case, tokens, times, peak_mb, floor_ms, .. } = step;
        let number = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.0}"));
        table.add_row([
            model.clone(),
            precision.clone(),
            threads.to_string(),
            case.name(),
            times.runs.to_string(),
            format!("{:.0}", times.ms),
            format!("{:.0}", times.min),
            format!("{:.0}", times.max),
            format!("{:.0}", *tokens as f64 / times.ms * 1e3),
            number(*peak_mb),
            number(*floor_ms),
            number(floor_ms.map(|floor| 100.0 * floor / times.ms)),
        ]);
    }
    aligned(table)
}

fn shares(forward: &[Forward]) -> Table {
    let mut operations: Vec<&str> = vec![];
    for share in forward.iter().flat_map(|timed| &timed.shares) {
        if !operations.contains(&share.operation.as_str()) {
            operations.push(&share.operation);
        }
    }
    let mut table =
        plain(std::iter::once("operation".to_owned()).chain(forward.iter().map(|t| t.case.name())));
    for operation in operations {
        let cells = forward.iter().map(|timed| {
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

/// Each engine against this run with the most threads and the precision in the engine's name.
fn ratios(results: &Results) -> Table {
    let threads = results.forward.iter().map(|timed| timed.threads).max();
    let mut cases = vec![];
    for (case, _) in results.engines.iter().flat_map(|engine| &engine.ms) {
        if !cases.contains(case) {
            cases.push(case.clone());
        }
    }
    let mut table = plain(std::iter::once("engine".to_owned()).chain(cases.iter().cloned()));
    for engine in &results.engines {
        let precision = engine.name.rsplit('-').next().unwrap_or_default();
        let cells = cases.iter().map(|case| {
            let theirs = engine.ms.iter().find(|(name, _)| name == case);
            let ours = results.forward.iter().find(|timed| {
                Some(timed.threads) == threads && timed.precision == precision && timed.case.name() == *case
            });
            match (theirs, ours) {
                (Some((_, theirs)), Some(ours)) => format!("{:.2}", theirs / ours.times.ms),
                _ => "–".to_owned(),
            }
        });
        table.add_row(std::iter::once(engine.name.clone()).chain(cells));
    }
    aligned(table)
}

fn start_line(start: &Start) -> String {
    let weights = start.weight_bytes as f64;
    let part = |peak: Option<u64>| match peak {
        Some(peak) => format!("{:.0} MB, {:.2} × the weights", peak as f64 / 1e6, peak as f64 / weights),
        None => "memory not known on this system".to_owned(),
    };
    format!(
        "\n{} in {} from disk ({:.0} MB of weights): loaded in {:.0} ms ({}), first answer to 128 tokens after \
         {:.0} ms ({})",
        start.model,
        start.precision,
        weights / 1e6,
        start.loaded_ms,
        part(start.peak_bytes_loaded),
        start.answered_ms,
        part(start.peak_bytes_answered),
    )
}

fn steady_line(steady: &Steady) -> String {
    let Steady { model, precision, calls, bytes_early, bytes_late } = steady;
    match (bytes_early, bytes_late) {
        (Some(early), Some(late)) => format!(
            "\n{model} in {precision}: {:.1} MB in memory after {} calls, {:.1} MB after {calls}",
            *early as f64 / 1e6,
            calls / 10,
            *late as f64 / 1e6
        ),
        _ => String::new(),
    }
}

/// The last row of accuracy and its bounds, for who waits for the next.
pub fn accuracy_line(results: &Results) {
    let Some(row) = results.accuracy.last() else { return };
    let cosine = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.5}"));
    let (mean, least) = (cosine(row.cosine_mean), cosine(row.cosine_min));
    let mut text =
        format!("{} with {}: cosine {mean} in the mean, {least} at least", row.precision, row.simd);
    for Held { measure, words, held } in bounds::check(row) {
        let _ = write!(text, "; {measure} {words}: {}", if held { "held" } else { "MISSED" });
    }
    eprintln!("{text}");
}

/// The names of the measures that are not within their bounds.
fn missed(row: &Accuracy) -> String {
    let missed: Vec<_> =
        bounds::check(row).iter().filter(|held| !held.held).map(|held| held.measure).collect();
    if missed.is_empty() { "held".to_owned() } else { format!("MISSED: {}", missed.join(", ")) }
}

fn accuracy(results: &Results) -> Table {
    let mut table = plain([
        "precision",
        "instructions",
        "STS-B dev, Spearman",
        "labels as in f32",
        "tokens",
        "cosine, mean",
        "least",
        "bounds",
    ]);
    for row in &results.accuracy {
        let number = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.5}"));
        table.add_row([
            row.precision.clone(),
            row.simd.clone(),
            number(row.sts_spearman),
            row.ner_agreement.map_or_else(|| "–".to_owned(), |x| format!("{:.3} %", 100.0 * x)),
            row.ner_tokens.to_string(),
            number(row.cosine_mean),
            number(row.cosine_min),
            missed(row),
        ]);
    }
    aligned(table)
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
