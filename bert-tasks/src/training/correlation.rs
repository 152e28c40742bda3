//! How well two rows of numbers go together.

/// Pearson's correlation; 0 where one side does not vary.
pub fn pearson(pairs: &[(f64, f64)]) -> f64 {
    let count = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let (a, b) = (mean(|(a, _)| *a), mean(|(_, b)| *b));
    let sum = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|(x, y)| of(x - a, y - b)).sum::<f64>();
    let spread = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    if spread > 0.0 { sum(&|x, y| x * y) / spread } else { 0.0 }
}

/// Spearman's correlation, which is that of the ranks: numbers that are equal share the mean of theirs.
pub fn spearman(pairs: &[(f64, f64)]) -> f64 {
    let first = ranks(pairs.iter().map(|pair| pair.0).collect());
    let second = ranks(pairs.iter().map(|pair| pair.1).collect());
    pearson(&first.into_iter().zip(second).collect::<Vec<_>>())
}

/// The rank of each number, from 0.
fn ranks(numbers: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    let mut ranks = vec![0.0; numbers.len()];
    let mut start = 0;
    for equals in order.chunk_by(|&a, &b| numbers[a] == numbers[b]) {
        let rank = start as f64 + (equals.len() - 1) as f64 / 2.0;
        equals.iter().for_each(|&at| ranks[at] = rank);
        start += equals.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straight_lines_and_ranks() {
        let pairs = [(1.0, 1.0), (2.0, 4.0), (3.0, 9.0), (4.0, 16.0)];
        assert!((pearson(&pairs) - 0.984_374).abs() < 1e-6, "{}", pearson(&pairs));
        assert_eq!(spearman(&pairs), 1.0);
        assert_eq!(spearman(&pairs.map(|(a, b)| (a, -b))), -1.0);
        assert_eq!(ranks(vec![5.0, 1.0, 5.0, 0.0]), [2.5, 1.0, 2.5, 0.0]);
        // scipy.stats.spearmanr([1, 2, 2, 4], [3, 1, 2, 4])
        let ties = [(1.0, 3.0), (2.0, 1.0), (2.0, 2.0), (4.0, 4.0)];
        assert!((spearman(&ties) - 0.316_227_766).abs() < 1e-9, "{}", spearman(&ties));
        assert_eq!([pearson(&[(1.0, 2.0); 3]), spearman(&[(1.0, 2.0); 3]), pearson(&[])], [0.0; 3]);
    }
}
