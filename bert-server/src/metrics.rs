//! What is counted, and the text form that Prometheus reads. The names are those of text-embeddings-inference where it
//! has one (`te_…`), so that dashboards go on to work; the others begin with `bert_`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bert_tasks::energy::{EnergyMeter, EnergyOptions, Provenance};

use crate::Kind;
use crate::models::Model;

/// The upper bounds of the buckets of durations, in seconds.
const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// The counts since the server was started.
pub struct Metrics {
    counts: Mutex<Counts>,
    /// `None` where nothing about energy is known.
    energy: Option<EnergyMeter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let energy = EnergyMeter::start(&EnergyOptions::default()).ok();
        Self { counts: Mutex::default(), energy }
    }
}

#[derive(Default)]
struct Counts {
    /// By route.
    routes: BTreeMap<String, Route>,
    failures: BTreeMap<&'static str, u64>,
    truncated: u64,
}

#[derive(Default)]
struct Route {
    requests: u64,
    successes: u64,
    seconds: f64,
    buckets: [u64; BOUNDS.len()],
}

impl Metrics {
    /// Counts a request.
    pub fn count(&self, route: &str, failed: Option<Kind>, took: Duration, truncated: usize) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.truncated += truncated as u64;
        if let Some(kind) = failed {
            *counts.failures.entry(kind.tei_word()).or_default() += 1;
        }
        if !counts.routes.contains_key(route) {
            counts.routes.insert(route.to_owned(), Route::default());
        }
        let Some(route) = counts.routes.get_mut(route) else { return };
        let seconds = took.as_secs_f64();
        route.requests += 1;
        route.successes += u64::from(failed.is_none());
        route.seconds += seconds;
        for (bucket, bound) in route.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
    }

    /// Counts texts that were too long, of an answer that comes in parts.
    pub fn truncated(&self, count: usize) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).truncated += count as u64;
    }

    /// All of them, with those of the models.
    pub fn text(&self, models: &[Model], in_flight: usize) -> String {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = Text(String::new());
        let routes = || counts.routes.iter();
        out.family(
            "te_request_count",
            "counter",
            "Requests",
            routes().map(|(name, route)| (label("method", name), route.requests)),
        );
        out.family(
            "te_request_success",
            "counter",
            "Requests that were answered",
            routes().map(|(name, route)| (label("method", name), route.successes)),
        );
        let failures = counts.failures.iter();
        out.family(
            "te_request_failure",
            "counter",
            "Requests that were refused or failed",
            failures.map(|(word, count)| (label("err", word), *count)),
        );
        out.head(
            "te_request_duration",
            "histogram",
            "From the first byte of the body to the answer, in seconds",
        );
        for (name, route) in routes() {
            for (bound, count) in BOUNDS.iter().zip(route.buckets) {
                out.line("te_request_duration_bucket", &format!("method=\"{name}\",le=\"{bound}\""), count);
            }
            out.line("te_request_duration_bucket", &format!("method=\"{name}\",le=\"+Inf\""), route.requests);
            out.line("te_request_duration_sum", &label("method", name), route.seconds);
            out.line("te_request_duration_count", &label("method", name), route.requests);
        }
        let waiting =
            models.iter().flat_map(|model| &model.tasks).map(|task| task.batcher.waiting()).sum::<usize>();
        out.family(
            "te_queue_size",
            "gauge",
            "Inputs that wait for the device",
            [(String::new(), waiting)].into_iter(),
        );
        out.family(
            "bert_in_flight",
            "gauge",
            "Requests that are worked on",
            [(String::new(), in_flight)].into_iter(),
        );
        out.family(
            "bert_truncated_total",
            "counter",
            "Texts that were too long for the model",
            [(String::new(), counts.truncated)].into_iter(),
        );
        drop(counts);
        let tasks = || models.iter().flat_map(|model| model.tasks.iter().map(move |task| (model, task)));
        out.family(
            "bert_queue_size",
            "gauge",
            "Inputs that wait, by model and task",
            tasks().map(|(model, task)| {
                (format!("model=\"{}\",task=\"{}\"", model.name, task.kind.word), task.batcher.waiting())
            }),
        );
        let totals: Vec<_> =
            models.iter().map(|model| (label("model", &model.name), model.log().totals())).collect();
        let totals = || totals.iter();
        out.family(
            "bert_batches_total",
            "counter",
            "Batches that were computed",
            totals().map(|(label, passes)| (label.clone(), passes.passes)),
        );
        out.family(
            "bert_sequences_total",
            "counter",
            "Sequences in them",
            totals().map(|(label, passes)| (label.clone(), passes.sequences)),
        );
        out.family(
            "bert_tokens_total",
            "counter",
            "Tokens in them",
            totals().map(|(label, passes)| (label.clone(), passes.tokens)),
        );
        out.family(
            "bert_inference_seconds_total",
            "counter",
            "Time that they took",
            totals().map(|(label, passes)| (label.clone(), passes.time.as_secs_f64())),
        );
        if let Some(report) = self.energy.as_ref().map(EnergyMeter::report) {
            let parts = [("cpu", &report.cpu), ("gpu", &report.gpu), ("memory", &report.ram)];
            out.family(
                "bert_energy_joules_total",
                "counter",
                "Energy of this process, or of the whole machine, and whether it is measured or estimated",
                parts.into_iter().filter_map(|(part, figure)| {
                    let known = match figure.provenance {
                        Provenance::Measured => "measured",
                        _ => "estimated",
                    };
                    let labels = format!("part=\"{part}\",known=\"{known}\",of=\"{}\"", report.scope);
                    Some((labels, figure.joules?))
                }),
            );
        }
        out.0
    }
}

fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{value}\"")
}

/// The text so far.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            _ => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    fn family<V: std::fmt::Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        lines: impl Iterator<Item = (String, V)>,
    ) {
        self.head(name, kind, help);
        lines.for_each(|(labels, value)| self.line(name, &labels, value));
    }
}
