//! k-means: the sentence nearest to the centre of each group of sentences.

use bert_core::random::Random;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};

/// Passes over all sentences at most; by then hardly any changes its group.
const PASSES: usize = 25;
/// Sentences whose distances are computed at a time: what keeps memory flat.
const BLOCK: usize = 512;

/// All rows, best first: the nearest to each of `count` centres, those of large groups first, and then the others by how
/// near they are to theirs. With each comes a score, the cosine with the centre.
///
/// Centres begin far from one another (k-means++, Arthur and Vassilvitskii, 2007).
pub(super) fn rank(rows: ArrayView2<'_, f32>, count: usize, seed: u64) -> Vec<(usize, f64)> {
    let squares: Vec<f32> = rows.outer_iter().map(|row| row.dot(&row)).collect();
    let mut centres = beginning(rows, &squares, count, Random::new(seed).named("k-means"));
    let mut groups = nearest(rows, &squares, centres.view());
    for _ in 0..PASSES {
        move_to_means(rows, &groups, &mut centres);
        let next = nearest(rows, &squares, centres.view());
        let same = next.iter().zip(&groups).all(|(a, b)| a.0 == b.0);
        groups = next;
        if same {
            break;
        }
    }
    let mut sizes = vec![0usize; centres.nrows()];
    let mut best: Vec<Option<usize>> = vec![None; centres.nrows()];
    for (row, &(group, distance)) in groups.iter().enumerate() {
        sizes[group] += 1;
        if best[group].is_none_or(|best| distance < groups[best].1) {
            best[group] = Some(row);
        }
    }
    let mut order: Vec<usize> = (0..rows.nrows()).collect();
    order.sort_by(|&a, &b| {
        let key = |row: usize| {
            let (group, distance) = groups[row];
            let first = best[group] == Some(row);
            (!first, if first { usize::MAX - sizes[group] } else { 0 }, distance)
        };
        let ((a_rest, a_size, a_far), (b_rest, b_size, b_far)) = (key(a), key(b));
        (a_rest, a_size).cmp(&(b_rest, b_size)).then(a_far.total_cmp(&b_far)).then(a.cmp(&b))
    });
    let cosine = |row: usize| {
        let centre = centres.row(groups[row].0);
        f64::from(rows.row(row).dot(&centre))
            / f64::from(squares[row] * centre.dot(&centre)).sqrt().max(1e-12)
    };
    order.into_iter().map(|row| (row, cosine(row))).collect()
}

fn beginning(rows: ArrayView2<'_, f32>, squares: &[f32], count: usize, random: Random) -> Array2<f32> {
    let mut chosen = vec![random.below(0, rows.nrows())];
    let mut distances = vec![f32::INFINITY; rows.nrows()];
    while chosen.len() < count {
        let last = *chosen.last().expect("one is chosen");
        let products = rows.dot(&rows.row(last));
        for (row, distance) in distances.iter_mut().enumerate() {
            *distance = distance.min((squares[row] + squares[last] - 2.0 * products[row]).max(0.0));
        }
        let total: f64 = distances.iter().map(|&distance| f64::from(distance)).sum();
        let mut left = random.uniform(chosen.len() as u64) * total;
        let drawn = distances.iter().position(|&distance| {
            left -= f64::from(distance);
            left < 0.0
        });
        // All others are where a centre is already.
        let Some(drawn) = drawn else { break };
        chosen.push(drawn);
    }
    rows.select(Axis(0), &chosen)
}

/// The nearest centre of each row, and the square of the distance.
fn nearest(rows: ArrayView2<'_, f32>, squares: &[f32], centres: ArrayView2<'_, f32>) -> Vec<(usize, f32)> {
    let of_centres: Vec<f32> = centres.outer_iter().map(|centre| centre.dot(&centre)).collect();
    let mut found = Vec::with_capacity(rows.nrows());
    for start in (0..rows.nrows()).step_by(BLOCK) {
        let end = (start + BLOCK).min(rows.nrows());
        let products = rows.slice(s![start..end, ..]).dot(&centres.t());
        for (row, products) in (start..end).zip(products.outer_iter()) {
            let distance = |centre: usize| squares[row] + of_centres[centre] - 2.0 * products[centre];
            let centre = (0..of_centres.len()).min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
            let centre = centre.expect("there is a centre");
            found.push((centre, distance(centre).max(0.0)));
        }
    }
    found
}

/// A centre without a row stays where it is.
fn move_to_means(rows: ArrayView2<'_, f32>, groups: &[(usize, f32)], centres: &mut Array2<f32>) {
    let mut sums = Array2::<f32>::zeros(centres.raw_dim());
    let mut counts = vec![0u32; centres.nrows()];
    for (row, &(group, _)) in rows.outer_iter().zip(groups) {
        let mut sum = sums.row_mut(group);
        sum += &row;
        counts[group] += 1;
    }
    for ((mut centre, sum), count) in centres.outer_iter_mut().zip(sums.outer_iter()).zip(counts) {
        if count > 0 {
            let mean = |sum: ArrayView1<'_, f32>| &sum / count as f32;
            centre.assign(&mean(sum));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_gives_its_middle_and_large_groups_come_first() {
        let rows = ndarray::arr2(&[
            [0.0f32, 10.0],
            [0.2, 10.2],
            [10.0, 0.0],
            [10.1, 0.1],
            [10.2, 0.2],
            [-9.0, -9.0],
        ]);
        for seed in 0..5 {
            let order: Vec<usize> = rank(rows.view(), 3, seed).into_iter().map(|(row, _)| row).collect();
            assert_eq!(order[0], 3, "{order:?}");
            assert!(order[1] < 2 && order[2] == 5, "{order:?}");
            let mut all = order.clone();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..6));
        }
        let equal = Array2::<f32>::ones((4, 2));
        assert_eq!(rank(equal.view(), 3, 0).len(), 4);
        assert_eq!(rank(Array2::<f32>::zeros((1, 2)).view(), 1, 0)[0].0, 0);
    }
}
