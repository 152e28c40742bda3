//! How far two lists of numbers go together: Pearson's and Spearman's correlation, as SciPy has them.
//!
//! ```
//! use bert_tasks::evaluation::metrics::correlation::{pearson, spearman};
//! let (gold, answers) = ([1.0, 2.0, 3.0, 4.0], [0.1, 0.2, 0.4, 0.8]);
//! assert_eq!(spearman(&gold, &answers), Some(1.0));
//! assert!(pearson(&gold, &answers).unwrap() < 1.0);
//! assert_eq!(pearson(&gold, &[1.0; 4]), None);
//! ```

use crate::evaluation::Measure;

/// Pearson's correlation; `None` where it is not defined: of fewer than two pairs, or if one side never varies.
///
/// # Panics
/// If the lists are not of one length.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "numbers come in pairs");
    let varies = |numbers: &[f64]| numbers.iter().any(|number| *number != numbers[0]);
    if a.len() < 2 || !varies(a) || !varies(b) {
        return None;
    }
    let centred = |numbers: &[f64]| -> Vec<f64> {
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        numbers.iter().map(|number| number - mean).collect()
    };
    let (a, b) = (centred(a), centred(b));
    let norm = |numbers: &[f64]| {
        // Scaled first, so that squares of large numbers do not overflow and those of small ones do not vanish.
        let most = numbers.iter().fold(0.0, |most: f64, number| most.max(number.abs()));
        most * numbers.iter().map(|number| (number / most).powi(2)).sum::<f64>().sqrt()
    };
    let (norm_a, norm_b) = (norm(&a), norm(&b));
    let sum: f64 = a.iter().zip(&b).map(|(a, b)| (a / norm_a) * (b / norm_b)).sum();
    Some(sum.clamp(-1.0, 1.0))
}

/// Spearman's correlation: Pearson's of the ranks, where equal numbers share the mean of their ranks. `None` as
/// [`pearson`].
///
/// # Panics
/// If the lists are not of one length.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

/// The rank of each number from 1 on; equal numbers share the mean of theirs.
pub fn ranks(numbers: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_unstable_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    let mut ranks = vec![0.0; numbers.len()];
    let mut before = 0;
    for equals in order.chunk_by(|&a, &b| numbers[a] == numbers[b]) {
        let rank = before as f64 + (equals.len() + 1) as f64 / 2.0;
        equals.iter().for_each(|&at| ranks[at] = rank);
        before += equals.len();
    }
    ranks
}

/// Both correlations; an observation is the right score and the model's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Correlations;

impl Measure for Correlations {
    type Observation = [f64; 2];

    fn names(&self) -> Vec<String> {
        vec!["pearson".to_owned(), "spearman".to_owned()]
    }

    fn values(&self, sample: &[&[f64; 2]]) -> Vec<f64> {
        let [gold, answers] = [0, 1].map(|side| sample.iter().map(|pair| pair[side]).collect::<Vec<_>>());
        [pearson(&gold, &answers), spearman(&gold, &answers)].map(|value| value.unwrap_or(f64::NAN)).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_share_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [4.0, 1.0, 4.0, 2.0, 4.0]);
        assert_eq!(ranks(&[0.0, -0.0]), [1.5, 1.5]);
        assert!(ranks(&[]).is_empty());
    }

    #[test]
    fn large_and_small_numbers_are_handled() {
        for scale in [1e-200, 1.0, 1e200] {
            let [a, b] = [[1.0, 2.0, 4.0], [2.0, 4.0, 8.0]].map(|list| list.map(|number| number * scale));
            assert!((pearson(&a, &b).unwrap() - 1.0).abs() < 1e-12, "{scale}");
        }
        assert_eq!(pearson(&[0.1; 3], &[1.0, 2.0, 3.0]), None);
        assert_eq!((pearson(&[], &[]), pearson(&[1.0], &[1.0])), (None, None));
    }
}
