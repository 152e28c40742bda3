//! What was measured, as a file.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use bert_conformance::perf::Timing;
use bert_conformance::{Outcome, Variant, Verdict, widest_limit};
use bert_core::contract::Precision;
use serde::{Deserialize, Serialize};

use crate::conformance::registry::Subject;
use crate::error::{Error, Result};

/// The last run of each backend.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// By name: `cpu:avx2`.
    pub backends: BTreeMap<String, Record>,
}

impl Results {
    /// Reads a file; none is as good as an empty one.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Results`].
    pub fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                serde_json::from_str(&text).map_err(|source| Error::Results { path: path.to_owned(), source })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::File { action: "read", path: path.to_owned(), source }),
        }
    }

    /// Writes the file, by a temporary one and a rename.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("names and numbers") + "\n";
        let folder = path.parent().expect("a file in a folder");
        std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        let partial = path.with_extension(format!("{}.tmp", std::process::id()));
        std::fs::write(&partial, text).map_err(Error::file("write", &partial))?;
        std::fs::rename(&partial, path).map_err(Error::file("rename to", path))
    }
}

/// One run of one backend.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// The day, in UTC.
    pub date: String,
    pub device: String,
    pub features: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    pub rows: Vec<Row>,
}

/// How an operation comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// One of the eight that every backend has.
    Required,
    /// The backend overrides it.
    Fused,
    /// By the default body, on the backend's own eight.
    Default,
}

/// One operation in one precision.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    pub operation: String,
    pub precision: String,
    pub body: Body,
    /// How far from the truth it may be.
    pub limit: f64,
    /// How far it was.
    pub error: f64,
    /// Of the limit of the machine's arithmetic, in the shape that comes closest to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// How many times the time of the default body, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faster: Option<f64>,
}

impl Record {
    /// From cases that passed, and times if there are any.
    pub fn new(subject: &Subject, verdicts: &[Verdict], timings: &[Timing]) -> Self {
        let info = &subject.info;
        let gflops = if timings.is_empty() { None } else { subject.gflops() };
        let mut rows: Vec<Row> = vec![];
        for verdict in verdicts {
            let body = match verdict.variant {
                Variant::Required => Body::Required,
                Variant::Fused => Body::Fused,
                Variant::Inherited => Body::Default,
                Variant::Default => continue,
            };
            // `map exp` is one of the functions of `map`, one of the eight.
            let operation = match body {
                Body::Required => verdict.operation.split(' ').next().expect("a word"),
                _ => &verdict.operation,
            };
            let precision = verdict.precision.to_string();
            let same = |row: &Row| (row.operation.as_str(), &row.precision) == (operation, &precision);
            let index = rows.iter().position(same).unwrap_or_else(|| {
                let row = Row {
                    operation: operation.to_owned(),
                    precision,
                    body,
                    limit: 0.0,
                    error: 0.0,
                    percent: None,
                    faster: None,
                };
                rows.push(row);
                rows.len() - 1
            });
            let row = &mut rows[index];
            row.limit = row.limit.max(widest_limit(&verdict.operation, verdict.precision, &subject.name));
            if let Outcome::Passed(difference) = &verdict.outcome {
                row.error = row.error.max(two_digits(difference.max_abs));
            }
        }
        for row in &mut rows {
            let own = |timing: &&Timing| {
                timing.operation == row.operation && timing.precision.to_string() == row.precision
            };
            for timing in timings.iter().filter(own) {
                let seconds = timing.own.as_secs_f64();
                let share = gflops.filter(|_| timing.flops > 0.0 && timing.precision == Precision::F32);
                let share = share.map(|gflops| (100.0 * timing.flops / seconds / gflops / 1e9).round());
                row.percent = max(row.percent, share);
                if row.body == Body::Fused {
                    let faster = timing.default.map(|default| default.as_secs_f64() / seconds);
                    row.faster = max(row.faster, faster.map(two_digits));
                }
            }
        }
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            device: info.device.clone(),
            features: info.features.clone(),
            threads: info.threads,
            rows,
        }
    }

    /// Where a backend is another one than is recorded, in what no machine changes. A precision that this
    /// machine does not offer is no difference.
    pub fn differences(&self, name: &str, found: &Self) -> Vec<String> {
        let mut differences = vec![];
        for row in &found.rows {
            let Row { operation, precision, body, limit, .. } = row;
            match self.rows.iter().find(|old| old.operation == *operation && old.precision == *precision) {
                None => differences.push(format!("{name}: {operation} in {precision} is not recorded")),
                Some(old) if old.body != *body => {
                    differences
                        .push(format!("{name}: {operation} in {precision} is {body:?}, not {:?}", old.body));
                }
                Some(old) if old.limit != *limit => differences.push(format!(
                    "{name}: {operation} in {precision} may be off by {limit:e}, not {:e}",
                    old.limit
                )),
                Some(_) => {}
            }
        }
        differences
    }
}

fn max(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

fn two_digits(x: f64) -> f64 {
    format!("{x:.1e}").parse().expect("a number")
}
