//! TextRank: a sentence matters if it is like many sentences that matter.

use ndarray::{Array2, ArrayView2, Axis, s};

/// A sentence counts so many others as its neighbours at most: of a long text there is no matrix of all pairs.
const NEIGHBOURS: usize = 100;
/// Sentences whose cosines are computed at a time.
const BLOCK: usize = 256;
/// The share of a sentence's weight that its neighbours give; the rest is the same for all. As PageRank has it.
const DAMPING: f64 = 0.85;
const PASSES: usize = 100;

/// All rows, the most central first, with their shares of 1. Sources: "TextRank: Bringing Order into Texts" (Mihalcea and
/// Tarau, 2004), and for cosines as weights "LexRank" (Erkan and Radev, 2004).
///
/// Cosines are those of the vectors less their mean: what all sentences of a text share says nothing about any. Negative
/// ones count as 0.
pub(super) fn rank(rows: ArrayView2<'_, f32>) -> Vec<(usize, f64)> {
    let count = rows.nrows();
    let graph = graph(&centred_units(rows));
    let totals: Vec<f64> =
        graph.iter().map(|near| near.iter().map(|&(_, weight)| f64::from(weight)).sum()).collect();
    let mut scores = vec![1.0 / count as f64; count];
    for _ in 0..PASSES {
        let mut next = vec![0.0; count];
        // What has no neighbour gives to all.
        let mut lost = 0.0;
        for (row, near) in graph.iter().enumerate() {
            if totals[row] > 0.0 {
                for &(to, weight) in near {
                    next[to as usize] += scores[row] * f64::from(weight) / totals[row];
                }
            } else {
                lost += scores[row];
            }
        }
        let base = (1.0 - DAMPING + DAMPING * lost) / count as f64;
        let mut change = 0.0;
        for (score, next) in scores.iter_mut().zip(next) {
            let next = base + DAMPING * next;
            change += (next - *score).abs();
            *score = next;
        }
        if change < 1e-9 {
            break;
        }
    }
    let mut order: Vec<(usize, f64)> = scores.into_iter().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    order
}

fn centred_units(rows: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut units = match rows.mean_axis(Axis(0)) {
        Some(mean) if rows.nrows() > 2 => &rows - &mean,
        _ => rows.to_owned(),
    };
    for mut row in units.outer_iter_mut() {
        let length = row.dot(&row).sqrt();
        if length > 1e-6 {
            row /= length;
        } else {
            row.fill(0.0);
        }
    }
    units
}

/// The nearest others of each row with their cosines.
fn graph(units: &Array2<f32>) -> Vec<Vec<(u32, f32)>> {
    let mut graph = Vec::with_capacity(units.nrows());
    for start in (0..units.nrows()).step_by(BLOCK) {
        let end = (start + BLOCK).min(units.nrows());
        let cosines = units.slice(s![start..end, ..]).dot(&units.t());
        for (row, cosines) in (start..end).zip(cosines.outer_iter()) {
            let others = cosines.iter().enumerate().filter(|&(other, &cosine)| other != row && cosine > 0.0);
            let mut near: Vec<(u32, f32)> = others.map(|(other, &cosine)| (other as u32, cosine)).collect();
            if near.len() > NEIGHBOURS {
                near.select_nth_unstable_by(NEIGHBOURS, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                near.truncate(NEIGHBOURS);
            }
            graph.push(near);
        }
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_larger_group_is_first() {
        let rows = ndarray::arr2(&[[1.0f32, 0.1], [1.0, 0.0], [1.0, -0.1], [-1.0, 1.0], [-1.0, -1.0]]);
        let order = rank(rows.view());
        assert_eq!(order[0].0, 1, "{order:?}");
        assert!((order.iter().map(|(_, score)| score).sum::<f64>() - 1.0).abs() < 1e-6);
        for count in [1, 2, 300] {
            let order = rank(Array2::<f32>::ones((count, 3)).view());
            assert!(order.iter().map(|(row, _)| *row).eq(0..count));
        }
    }
}
