//! How well a search ranks what it should find.
//!
//! ```
//! use bert_tasks::evaluation::metrics::ranking::Ranking;
//! // Of two relevant texts one was found, in the second place.
//! let ranking = Ranking { found: vec![0.0, 1.0, 0.0], relevant: vec![1.0, 1.0] };
//! assert_eq!((ranking.accuracy(1), ranking.accuracy(3)), (0.0, 1.0));
//! assert_eq!(ranking.reciprocal_rank(10), 0.5);
//! assert_eq!(ranking.average_precision(10), 0.25);
//! ```

/// What a search found for one query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// How relevant each text is that was found, best first; 0 for one that is not.
    pub found: Vec<f64>,
    /// How relevant those texts are that should be found, each above 0, in any order.
    pub relevant: Vec<f64>,
}

impl Ranking {
    /// Whether one of the first `k` is relevant: 1 or 0.
    pub fn accuracy(&self, k: usize) -> f64 {
        f64::from(u8::from(self.found.iter().take(k).any(|&gain| gain > 0.0)))
    }

    /// One divided by the place of the first relevant text among the first `k`; 0 if there is none. Its mean over
    /// queries is MRR.
    pub fn reciprocal_rank(&self, k: usize) -> f64 {
        let place = self.found.iter().take(k).position(|&gain| gain > 0.0);
        place.map_or(0.0, |place| 1.0 / (place + 1) as f64)
    }

    /// The discounted gains of the first `k`, divided by those of the best order (NDCG); 0 if nothing is relevant.
    /// A gain is how relevant a text is, not a power of it.
    pub fn ndcg(&self, k: usize) -> f64 {
        let gains = |gains: &[f64]| -> f64 {
            let discounted = |(place, gain): (usize, &f64)| gain / ((place + 2) as f64).log2();
            gains.iter().take(k).enumerate().map(discounted).sum()
        };
        let mut ideal = self.relevant.clone();
        ideal.sort_by(|a, b| b.total_cmp(a));
        let ideal = gains(&ideal);
        if ideal > 0.0 { gains(&self.found) / ideal } else { 0.0 }
    }

    /// The mean of the precisions at the places of relevant texts among the first `k`; those that were not found
    /// count as 0, up to `k` of them. Its mean over queries is MAP.
    pub fn average_precision(&self, k: usize) -> f64 {
        let (mut hits, mut sum) = (0, 0.0);
        for (place, &gain) in self.found.iter().take(k).enumerate() {
            if gain > 0.0 {
                hits += 1;
                sum += f64::from(hits) / (place + 1) as f64;
            }
        }
        match self.relevant.len().min(k) {
            0 => 0.0,
            most => sum / most as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_beyond_the_cut_do_not_count() {
        let ranking = Ranking { found: vec![0.0, 0.0, 2.0, 1.0], relevant: vec![1.0, 2.0] };
        assert_eq!(
            (ranking.reciprocal_rank(2), ranking.ndcg(2), ranking.average_precision(2)),
            (0.0, 0.0, 0.0)
        );
        assert_eq!(ranking.reciprocal_rank(3), 1.0 / 3.0);
        assert_eq!(ranking.average_precision(4), (1.0 / 3.0 + 2.0 / 4.0) / 2.0);
        let ideal = 2.0 + 1.0 / 3f64.log2();
        assert_eq!(ranking.ndcg(4), (2.0 / 2.0 + 1.0 / 5f64.log2()) / ideal);
    }

    #[test]
    fn where_nothing_is_relevant_nothing_is_right() {
        let ranking = Ranking { found: vec![0.0], relevant: vec![] };
        assert_eq!((ranking.accuracy(5), ranking.ndcg(5), ranking.average_precision(5)), (0.0, 0.0, 0.0));
    }
}
