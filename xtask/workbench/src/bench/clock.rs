//! The method: warm up for a second, then run until the budget is spent.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Milliseconds of many runs of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// How many runs.
    pub runs: usize,
    /// The median.
    pub ms: f64,
    /// The fastest.
    pub min: f64,
    /// The slowest.
    pub max: f64,
}

/// Runs that are not counted, so that caches are warm and the clock of the processor is up.
const WARM_UP: Duration = Duration::from_secs(1);
/// At least and at most this many runs are counted.
const FEWEST: usize = 3;
const MOST: usize = 200;

/// Times `run` for about `budget`.
pub fn time<E>(budget: Duration, mut run: impl FnMut() -> Result<(), E>) -> Result<Times, E> {
    let start = Instant::now();
    run()?;
    while start.elapsed() < WARM_UP.min(budget) {
        run()?;
    }
    let (mut times, start) = (vec![], Instant::now());
    while times.len() < FEWEST || (start.elapsed() < budget && times.len() < MOST) {
        let run_start = Instant::now();
        run()?;
        times.push(run_start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Times::of(times))
}

impl Times {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let middle = times.len() / 2;
        let ms = if times.len() % 2 == 1 { times[middle] } else { (times[middle - 1] + times[middle]) / 2.0 };
        Self { runs: times.len(), ms, min: times[0], max: times[times.len() - 1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        let odd = Times::of(vec![3.0, 1.0, 2.0]);
        assert_eq!((odd.runs, odd.ms, odd.min, odd.max), (3, 2.0, 1.0, 3.0));
        assert_eq!(Times::of(vec![4.0, 1.0, 2.0, 3.0]).ms, 2.5);
    }

    #[test]
    fn a_run_that_fails_ends_it() {
        assert_eq!(time(Duration::ZERO, || Err("no")).unwrap_err(), "no");
    }

    #[test]
    fn a_few_runs_are_always_counted() {
        assert_eq!(time::<()>(Duration::ZERO, || Ok(())).unwrap().runs, FEWEST);
    }
}
