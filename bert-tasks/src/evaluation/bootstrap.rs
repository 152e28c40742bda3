//! How sure a figure is: its values for samples drawn from the examples.

use bert_core::random::Random;
use serde::Serialize;

/// Where a value would lie for 95 of 100 other data sets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Of the values of the samples, 2.5 % are less.
    pub low: f64,
    /// 2.5 % are greater.
    pub high: f64,
}

/// The percentile bootstrap: samples of the size of the data set, drawn from it with replacement. Source: Efron and
/// Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
///
/// The same seed draws the same examples, on every machine and for every model, so that differences between models
/// are paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// How many samples are drawn; with 0 there are no intervals.
    pub samples: usize,
    /// What the draws depend on.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { samples: 1000, seed: 0 }
    }
}

impl Bootstrap {
    /// The interval of each of the values that `values` computes of the numbers of the examples drawn. Samples for
    /// which a value is NaN are left out of its interval; `None` if that leaves fewer than half of them.
    pub fn intervals(
        &self,
        examples: usize,
        mut values: impl FnMut(&[u32]) -> Vec<f64>,
    ) -> Vec<Option<Interval>> {
        let random = Random::new(self.seed).named("bootstrap");
        let mut drawn = vec![0; examples];
        let mut columns: Vec<Vec<f64>> = vec![];
        let samples = if examples == 0 { 0 } else { self.samples };
        for sample in 0..samples {
            let random = random.numbered(sample as u64);
            for (block, four) in drawn.chunks_mut(4).enumerate() {
                for (at, bits) in four.iter_mut().zip(random.block(block as u64)) {
                    // A number below `examples`, each as likely as any other to within `examples / 2^32`.
                    *at = ((u64::from(bits) * examples as u64) >> 32) as u32;
                }
            }
            let values = values(&drawn);
            columns.resize_with(values.len(), || Vec::with_capacity(samples));
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
        if columns.is_empty() {
            let none = values(&drawn);
            return vec![None; none.len()];
        }
        columns.into_iter().map(|column| interval(column, samples)).collect()
    }
}

fn interval(mut values: Vec<f64>, samples: usize) -> Option<Interval> {
    values.retain(|value| !value.is_nan());
    if values.len() * 2 < samples {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    Some(Interval { low: quantile(&values, 0.025), high: quantile(&values, 0.975) })
}

/// Between the two nearest of sorted values, by how far it is from each (NumPy's default).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_of(numbers: &[f64], bootstrap: Bootstrap) -> Option<Interval> {
        let mean =
            |drawn: &[u32]| drawn.iter().map(|&at| numbers[at as usize]).sum::<f64>() / drawn.len() as f64;
        bootstrap.intervals(numbers.len(), |drawn| vec![mean(drawn)]).remove(0)
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_its_standard_error() {
        let random = Random::new(1);
        let numbers: Vec<f64> = (0..1000).map(|at| random.normal(at)).collect();
        let mean = numbers.iter().sum::<f64>() / 1000.0;
        let found = mean_of(&numbers, Bootstrap::default()).unwrap();
        let expected = 1.96 / 1000f64.sqrt();
        for width in [mean - found.low, found.high - mean] {
            assert!((width / expected - 1.0).abs() < 0.15, "{width} {expected}");
        }
        assert_eq!(mean_of(&numbers, Bootstrap::default()), Some(found));
        let other = mean_of(&numbers, Bootstrap { seed: 1, ..Bootstrap::default() });
        assert_ne!(other, Some(found));
    }

    #[test]
    fn what_is_not_defined_has_no_interval() {
        assert_eq!(mean_of(&[], Bootstrap::default()), None);
        assert_eq!(mean_of(&[f64::NAN, 1.0], Bootstrap::default()), None);
        assert_eq!(mean_of(&[1.0, 2.0], Bootstrap { samples: 0, seed: 0 }), None);
        assert_eq!(mean_of(&[2.0], Bootstrap::default()), Some(Interval { low: 2.0, high: 2.0 }));
    }

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(quantile(&[0.0, 10.0], 0.025), 0.25);
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 0.5), 2.0);
    }
}
