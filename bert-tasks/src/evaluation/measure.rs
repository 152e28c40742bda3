//! Which figures follow from a sample of examples, and how they are computed, with their intervals.

use serde::Serialize;

use super::{Bootstrap, Interval};

/// Figures of a sample of examples.
///
/// What is kept of an example, its observation, is a few numbers. Figures are functions of any sample of these, so
/// that a [`Bootstrap`] can draw others.
pub trait Measure {
    /// What is kept of an example.
    type Observation;

    /// The names of the figures, by which others know them.
    fn names(&self) -> Vec<String>;

    /// As many values; NaN where one is not defined for this sample.
    fn values(&self, sample: &[&Self::Observation]) -> Vec<f64>;
}

/// A figure of all examples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// Its value; NaN where it is not defined.
    pub value: f64,
    /// Where it would lie for 95 of 100 other data sets of the same kind and size.
    pub interval: Option<Interval>,
}

/// A figure of two models on the same examples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// The first model's value.
    pub first: f64,
    /// The second model's.
    pub second: f64,
    /// By how much the second one is greater.
    pub difference: f64,
    /// Where that would lie for 95 of 100 other data sets. If it holds 0, the data does not tell the two apart.
    pub interval: Option<Interval>,
}

/// The figures of all examples with their intervals.
pub fn figures<M: Measure>(
    measure: &M,
    observations: &[M::Observation],
    bootstrap: &Bootstrap,
) -> Vec<Figure> {
    let values = measure.values(&observations.iter().collect::<Vec<_>>());
    let pick = |drawn: &[u32]| drawn.iter().map(|&at| &observations[at as usize]).collect::<Vec<_>>();
    let intervals = bootstrap.intervals(observations.len(), |drawn| measure.values(&pick(drawn)));
    let named = measure.names().into_iter().zip(values);
    named.zip(intervals).map(|((name, value), interval)| Figure { name, value, interval }).collect()
}

/// What a second model changes: each figure of both on the same examples, and the interval of the difference from
/// samples that hold the same examples for both.
///
/// # Panics
/// If the two do not have observations of the same examples.
pub fn differences<M: Measure>(
    measure: &M,
    first: &[M::Observation],
    second: &[M::Observation],
    bootstrap: &Bootstrap,
) -> Vec<Difference> {
    assert_eq!(first.len(), second.len(), "both answered the same examples");
    let values = |all: &[M::Observation]| measure.values(&all.iter().collect::<Vec<_>>());
    let drawn_values = |drawn: &[u32]| {
        let pick = |all| -> Vec<&M::Observation> {
            let all: &[M::Observation] = all;
            drawn.iter().map(|&at| &all[at as usize]).collect()
        };
        let pairs = measure.values(&pick(first)).into_iter().zip(measure.values(&pick(second)));
        pairs.map(|(first, second)| second - first).collect::<Vec<_>>()
    };
    let intervals = bootstrap.intervals(first.len(), drawn_values);
    let pairs = values(first).into_iter().zip(values(second));
    let named = measure.names().into_iter().zip(pairs).zip(intervals);
    named
        .map(|((name, (first, second)), interval)| Difference {
            name,
            first,
            second,
            difference: second - first,
            interval,
        })
        .collect()
}

/// Figures that are means over the examples: an observation holds what each is the mean of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Means<const N: usize> {
    names: [String; N],
}

impl<const N: usize> Means<N> {
    /// Means by these names.
    pub fn new(names: [&str; N]) -> Self {
        Self { names: names.map(str::to_owned) }
    }
}

impl<const N: usize> Measure for Means<N> {
    type Observation = [f64; N];

    fn names(&self) -> Vec<String> {
        self.names.to_vec()
    }

    fn values(&self, sample: &[&[f64; N]]) -> Vec<f64> {
        let sum = |at: usize| sample.iter().map(|observation| observation[at]).sum::<f64>();
        (0..N).map(|at| sum(at) / sample.len() as f64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paired_difference_is_surer_than_two_figures() {
        let measure = Means::new(["accuracy"]);
        let right =
            |model: u32| (0..400).map(move |at| [f64::from(u8::from(at % 5 != 0 && at % 50 != model))]);
        let (first, second): (Vec<_>, Vec<_>) = (right(7).collect(), right(50).collect());
        let bootstrap = Bootstrap::default();
        let difference = differences(&measure, &first, &second, &bootstrap).remove(0);
        assert!((difference.difference - 0.02).abs() < 1e-12, "{difference:?}");
        let width = |interval: Option<Interval>| interval.map(|it| it.high - it.low).unwrap();
        let alone = figures(&measure, &first, &bootstrap).remove(0);
        assert!(width(difference.interval) < width(alone.interval) / 2.0);
        assert!(difference.interval.unwrap().low > 0.0);
        let same = differences(&measure, &first, &first, &bootstrap).remove(0);
        assert_eq!(same.interval, Some(Interval { low: 0.0, high: 0.0 }));
    }
}
