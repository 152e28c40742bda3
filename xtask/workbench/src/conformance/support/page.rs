//! The record as pages. Nothing here is measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table, presets};

use super::record::{Body, Record, Results, Row};
use crate::error::{Error, Result};

/// Where the README's table begins and ends.
const MARKERS: [&str; 2] =
    ["<!-- backends: made by cargo xtask conformance --mode support -->", "<!-- /backends -->"];

/// All pages and what has to be in them.
///
/// # Errors
/// A README that cannot be read, or has no place for the table.
pub fn all(root: &Path, results: &Results) -> Result<Vec<(PathBuf, String)>> {
    let readme = root.join("README.md");
    let text = std::fs::read_to_string(&readme).map_err(Error::file("read", &readme))?;
    let [begin, end] = MARKERS;
    let parts = text.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let Some((before, after)) = parts else {
        return Err(Error::NoMarkers { path: readme, begin, end });
    };
    let text = format!("{before}{begin}\n{}\n{end}{after}", short(results));
    Ok(vec![(readme, text), (root.join("docs/backends.md"), page(results))])
}

fn page(results: &Results) -> String {
    let mut text = format!(
        "# Backends\n\n\
         Made by `cargo xtask conformance --mode support` from [what was measured](results/conformance.json); \
         not to be edited.\n\n\
         What each backend overrides (*fused*), and what it does by the default bodies of the\n\
         [`Backend`](../bert-core/src/contract/backend.rs) trait on its own eight methods (*default*):\n\n\
         {}\n\n\
         Below, *agrees to* is the limit of the [conformance suite](../bert-conformance/src/tolerance.rs) for the\n\
         hardest inputs and *was off by* what was found, absolute or relative, whichever is smaller. *% of limit*\n\
         is the part of the machine's `f32` arithmetic that the best shape of a BERT-base layer reaches, and *times\n\
         faster* the gain over the default body. Only the CPU's limit is known, and only of `f32`; what is not\n\
         timed is a software GPU.\n",
        short(results)
    );
    for (name, record) in &results.backends {
        let Record { date, device, features, threads, rows } = record;
        let _ = write!(text, "\n## {name}\n\n{device}");
        for feature in features {
            let _ = write!(text, ", {feature}");
        }
        if let Some(threads) = threads {
            let _ = write!(text, ", {threads} thread{}", if *threads == 1 { "" } else { "s" });
        }
        let _ = writeln!(text, "; {date}\n\n{}", table(rows));
    }
    text
}

fn table(rows: &[Row]) -> Table {
    let mut table =
        markdown(["operation", "dtype", "body", "agrees to", "was off by", "% of limit", "times faster"]);
    let or_dash = |number: Option<String>| number.unwrap_or_else(|| "–".to_owned());
    for row in rows {
        table.add_row([
            format!("`{}`", row.operation),
            row.precision.clone(),
            format!("{:?}", row.body).to_lowercase(),
            number(row.limit, 0),
            number(row.error, 1),
            or_dash(row.percent.map(|percent| format!("{percent:.0}"))),
            or_dash(row.faster.map(|faster| format!("{faster}"))),
        ]);
    }
    right(table, 3)
}

fn number(x: f64, digits: usize) -> String {
    if x == 0.0 { "exact".to_owned() } else { format!("{x:.digits$e}") }
}

/// An operation a row, a backend a column, all instruction sets of one in one.
fn short(results: &Results) -> Table {
    let mut families: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    let mut operations: Vec<&str> = vec![];
    for (name, record) in &results.backends {
        let family = name.split(':').next().expect("a word");
        families.entry(family).or_default().extend(&record.rows);
        for row in record.rows.iter().filter(|row| row.body != Body::Required) {
            if !operations.contains(&row.operation.as_str()) {
                operations.push(&row.operation);
            }
        }
    }
    let mut table = markdown(std::iter::once("operation").chain(families.keys().copied()));
    table.add_row(
        std::iter::once("the eight required").chain(families.keys().map(|_| "yes")).collect::<Vec<_>>(),
    );
    for operation in operations {
        let cells = families.values().map(|rows| cell(rows.iter().filter(|row| row.operation == operation)));
        table.add_row(std::iter::once(format!("`{operation}`")).chain(cells).collect::<Vec<_>>());
    }
    table
}

/// How an operation is done, and in which precisions if there is more than `f32`.
fn cell<'a>(rows: impl Iterator<Item = &'a &'a Row>) -> String {
    let (mut bodies, mut precisions): (Vec<String>, Vec<&str>) = (vec![], vec![]);
    for row in rows {
        let body = format!("{:?}", row.body).to_lowercase();
        if !bodies.contains(&body) {
            bodies.push(body);
        }
        if !precisions.contains(&row.precision.as_str()) {
            precisions.push(&row.precision);
        }
    }
    match &precisions[..] {
        [] => "–".to_owned(),
        ["f32"] => bodies.join(", "),
        _ => format!("{}: {}", bodies.join(", "), precisions.join(", ")),
    }
}

fn markdown<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header.into_iter().collect::<Vec<_>>());
    table
}

fn right(mut table: Table, words: usize) -> Table {
    for column in table.column_iter_mut().skip(words) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
