//! Maximal marginal relevance: sentences that are like the whole text and unlike those chosen before.

use ndarray::{ArrayView2, Axis};

/// The weight of being like the text, against being unlike the chosen.
const RELEVANCE: f32 = 0.6;

/// `count` rows in the order of their choice, each with the value that chose it. Source: "The Use of MMR" (Carbonell and
/// Goldstein, 1998).
pub(super) fn rank(rows: ArrayView2<'_, f32>, count: usize) -> Vec<(usize, f64)> {
    let mut units = rows.to_owned();
    for mut row in units.outer_iter_mut() {
        let length = row.dot(&row).sqrt().max(1e-12);
        row /= length;
    }
    let Some(mean) = units.mean_axis(Axis(0)) else { return vec![] };
    let length = mean.dot(&mean).sqrt().max(1e-12);
    let relevance = units.dot(&mean) / length;
    let mut nearest = vec![f32::NEG_INFINITY; rows.nrows()];
    let mut left: Vec<usize> = (0..rows.nrows()).collect();
    let mut order = vec![];
    while order.len() < count.min(rows.nrows()) {
        let value = |row: usize| {
            let redundancy = if order.is_empty() { 0.0 } else { nearest[row] };
            RELEVANCE * relevance[row] - (1.0 - RELEVANCE) * redundancy
        };
        let best = (0..left.len())
            .max_by(|&a, &b| value(left[a]).total_cmp(&value(left[b])).then(left[b].cmp(&left[a])));
        let at = best.expect("some are left");
        let chosen = left[at];
        order.push((chosen, f64::from(value(chosen))));
        left.remove(at);
        let cosines = units.dot(&units.row(chosen));
        nearest.iter_mut().zip(&cosines).for_each(|(nearest, &cosine)| *nearest = nearest.max(cosine));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_not_said_again() {
        let rows = ndarray::arr2(&[[1.0f32, 0.3], [1.0, 0.3], [1.0, 0.25], [0.2, 1.0]]);
        let order: Vec<usize> = rank(rows.view(), 2).into_iter().map(|(row, _)| row).collect();
        assert!(order[0] < 3 && order[1] == 3, "{order:?}");
        assert_eq!(rank(rows.view(), 10).len(), 4);
    }
}
