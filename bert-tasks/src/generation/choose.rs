//! Which token takes a place: temperature, top-k, top-p, and what may not stand there.

use bert_core::random::Random;
use ndarray::ArrayView1;

use crate::scores::log_sum_exp;

/// How a token is chosen of a model's scores.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// 0 takes the best.
    pub temperature: f64,
    /// Only so many of the best; 0 for all.
    pub top_k: usize,
    /// Only the best that together have this probability.
    pub top_p: f64,
}

/// A token, and the logarithm of its probability among all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chosen {
    pub id: u32,
    pub log_probability: f64,
}

impl Choice {
    /// Draws a token by the number at `index` of `random`. `None` if nothing may stand there.
    pub fn draw(
        &self,
        logits: ArrayView1<'_, f32>,
        allowed: impl Fn(u32) -> bool,
        random: Random,
        index: u64,
    ) -> Option<Chosen> {
        let ids = (0..logits.len() as u32).filter(|&id| allowed(id));
        let order = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        let all = log_sum_exp(logits);
        let chosen = |id: u32| Chosen { id, log_probability: f64::from(logits[id as usize]) - all };
        if self.temperature == 0.0 {
            return ids.min_by(order).map(chosen);
        }
        let mut ids: Vec<u32> = ids.collect();
        if self.top_k > 0 && self.top_k < ids.len() {
            ids.select_nth_unstable_by(self.top_k - 1, order);
            ids.truncate(self.top_k);
        }
        ids.sort_unstable_by(order);
        let best = f64::from(logits[*ids.first()? as usize]);
        let weight = |id: u32| ((f64::from(logits[id as usize]) - best) / self.temperature).exp();
        let weights: Vec<f64> = ids.iter().map(|&id| weight(id)).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let kept = weights.iter().position(|weight| {
            sum += weight;
            sum >= self.top_p * total
        });
        let kept = kept.map_or(weights.len(), |at| at + 1);
        let mut left = random.uniform(index) * weights[..kept].iter().sum::<f64>();
        let drawn = weights[..kept].iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        Some(chosen(ids[drawn.unwrap_or(kept - 1)]))
    }
}

/// What may not stand at `place`: the tokens beside it, and those that would end a run of `n` tokens that stands somewhere
/// else already.
pub(super) fn repeats(ids: &[u32], place: usize, n: usize) -> Vec<u32> {
    if n == 0 {
        return vec![];
    }
    let beside = [place.checked_sub(1), Some(place + 1)];
    let mut found: Vec<u32> = beside.into_iter().flatten().filter_map(|at| ids.get(at).copied()).collect();
    if let Some(start) = (place + 1).checked_sub(n) {
        let before = &ids[start..place];
        let runs = ids.windows(n).enumerate().filter(|(at, _)| !(*at..at + n).contains(&place));
        found.extend(runs.filter(|(_, run)| run[..n - 1] == *before).map(|(_, run)| run[n - 1]));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_drawn_by_their_weights() {
        let logits = ndarray::arr1(&[0.0f32, 2f32.ln(), f32::MIN, 1f32.ln()]);
        let draw = |choice: Choice, allowed: fn(u32) -> bool| {
            let mut counts = [0; 4];
            for index in 0..4000 {
                counts[choice.draw(logits.view(), allowed, Random::new(1), index).unwrap().id as usize] += 1;
            }
            counts
        };
        let all = Choice { temperature: 1.0, top_k: 0, top_p: 1.0 };
        let counts = draw(all, |_| true);
        assert!((counts[1] - 2000i32).abs() < 120 && counts[2] == 0, "{counts:?}");
        assert_eq!(draw(Choice { temperature: 0.0, ..all }, |_| true), [0, 4000, 0, 0]);
        assert_eq!(draw(Choice { top_k: 1, ..all }, |_| true), [0, 4000, 0, 0]);
        assert_eq!(draw(Choice { top_p: 0.5, ..all }, |_| true), [0, 4000, 0, 0]);
        assert_eq!(draw(Choice { top_p: 0.75, ..all }, |_| true)[3], 0);
        assert_eq!(draw(Choice { top_k: 1, ..all }, |id| id != 1), [4000, 0, 0, 0]);
        assert_eq!(all.draw(logits.view(), |_| false, Random::new(1), 0), None);
        let chosen = all.draw(logits.view(), |id| id == 1, Random::new(1), 0).unwrap();
        assert!((chosen.log_probability - 0.5f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn runs_are_not_said_twice() {
        let ids = [1, 2, 3, 1, 0];
        assert_eq!(repeats(&ids, 4, 2), [1, 2]); // beside itself, and 1 2 again
        assert_eq!(repeats(&ids, 4, 3), [1]);
        assert_eq!(repeats(&ids, 4, 1), [1, 1, 2, 3, 1]);
        assert_eq!(repeats(&ids, 1, 2), [1, 3, 0]);
        assert!(repeats(&ids, 4, 0).is_empty());
        assert!(repeats(&[5], 0, 2).is_empty() && repeats(&[], 0, 2).is_empty());
    }
}
