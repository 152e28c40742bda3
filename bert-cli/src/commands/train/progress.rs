//! How far a run is: one line on a terminal, and a line for each evaluation anywhere.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bert_tasks::training::Report;
use indicatif::{HumanDuration, ProgressBar};

use crate::reporter::Reporter;
use crate::style::{counted, thousands};

/// What a loss counts for in the one that is shown, after each further step.
const MEMORY: f64 = 0.9;

/// Shows the reports of a run.
pub struct Progress<'a> {
    reporter: &'a Reporter,
    bar: Option<ProgressBar>,
    start: Instant,
    smooth: Smooth,
    /// What this process did; the steps before a resume are not its own.
    steps: u32,
    tokens: u64,
    seconds: f64,
}

impl<'a> Progress<'a> {
    /// Nothing so far. The line says so once `stop` is set.
    pub fn new(reporter: &'a Reporter, steps: u64, stop: Arc<AtomicBool>) -> Self {
        let bar = reporter.step_bar(steps, stop);
        let smooth = Smooth::default();
        Self { reporter, bar, start: Instant::now(), smooth, steps: 0, tokens: 0, seconds: 0.0 }
    }

    /// Shows what happened.
    pub fn report(&mut self, report: &Report) {
        match report {
            Report::Step { step, steps, loss, learning_rate, tokens, seconds, .. } => {
                self.steps += 1;
                self.tokens += *tokens as u64;
                self.seconds += seconds;
                let loss = self.smooth.add(*loss);
                if let Some(bar) = &self.bar {
                    let rate = self.tokens as f64 / self.seconds.max(1e-9);
                    let rest = u32::try_from(steps - step).unwrap_or(u32::MAX);
                    let left = (self.start.elapsed() / self.steps).saturating_mul(rest);
                    bar.set_position(*step);
                    bar.set_message(format!(
                        "loss {loss:.4}  rate {learning_rate:.2e}  {} tokens/s  {} left",
                        thousands(rate as u64),
                        Left(left)
                    ));
                }
            }
            Report::Evaluated { step, evaluation, best } => {
                let best = if *best { ", the best so far" } else { "" };
                let (metric, value) = (&evaluation.metric, evaluation.value);
                let examples = counted(evaluation.examples as u64, "example", "examples");
                let details: String =
                    evaluation.details.iter().map(|(name, value)| format!(", {name} {value:.4}")).collect();
                self.reporter
                    .notice(format_args!("step {step}: {metric} {value:.4}{details} of {examples}{best}"));
            }
            _ => {}
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.bar.is_some() {
            self.reporter.end_bar();
        }
    }
}

/// A mean that forgets, without a pull to 0 at its beginning.
#[derive(Default)]
struct Smooth {
    sum: f64,
    weight: f64,
}

impl Smooth {
    fn add(&mut self, value: f64) -> f64 {
        self.sum = MEMORY * self.sum + value;
        self.weight = MEMORY * self.weight + 1.0;
        self.sum / self.weight
    }
}

/// A time in its largest unit.
struct Left(Duration);

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", HumanDuration(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_smoothed_from_the_first_on() {
        let mut smooth = Smooth::default();
        assert_eq!(smooth.add(2.0), 2.0);
        let second = smooth.add(1.0);
        assert!((second - 2.8 / 1.9).abs() < 1e-12, "{second}");
        assert!((0..200).map(|_| smooth.add(1.0)).last().is_some_and(|loss| (loss - 1.0).abs() < 1e-6));
    }
}
