//! Groups of vectors that point the same way: Ward's method, and how far groups part, by silhouettes. Sources:
//! "Hierarchical Grouping to Optimize an Objective Function" (Ward, 1963), "Silhouettes: a graphical aid to the
//! interpretation and validation of cluster analysis" (Rousseeuw, 1987).

use kodama::{Method, linkage};
use ndarray::{Array2, ArrayView2};

/// The most groups that are tried.
const MOST: usize = 8;

/// Below this silhouette, groups are no better than cutting one cloud somewhere.
const ENOUGH: f64 = 0.1;

/// The distances of all pairs `(0, 1)`, `(0, 2)`, …, `(1, 2)`, … of `n` vectors.
pub struct Distances {
    n: usize,
    all: Vec<f32>,
}

/// How vectors were grouped.
pub struct Grouping {
    /// The group of each, the largest one being 0.
    pub labels: Vec<usize>,
    /// How many groups were tried, each with its mean silhouette.
    pub tried: Vec<(usize, f64)>,
}

impl Distances {
    /// Between the ends of vectors `[n, features]` that are made as long as 1: of the same direction 0, of opposite ones 2.
    pub fn new(vectors: ArrayView2<'_, f32>) -> Self {
        let mut unit = vectors.to_owned();
        for mut row in unit.outer_iter_mut() {
            let length = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt().max(1e-12);
            row.mapv_inplace(|x| (f64::from(x) / length) as f32);
        }
        let cosines: Array2<f32> = unit.dot(&unit.t());
        let n = unit.nrows();
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let all = pairs.map(|(i, j)| (2.0 - 2.0 * cosines[[i, j]]).max(0.0).sqrt()).collect();
        Self { n, all }
    }

    fn between(&self, i: usize, j: usize) -> f64 {
        let (low, high) = (i.min(j), i.max(j));
        match high - low {
            0 => 0.0,
            // The rows before hold n - 1, n - 2, … pairs.
            apart => f64::from(self.all[low * (2 * self.n - low - 1) / 2 + apart - 1]),
        }
    }

    /// As many groups as asked for, or as many as part best; one, if none part.
    pub fn group(&self, count: Option<usize>) -> Grouping {
        if self.n < 2 || count == Some(1) {
            return Grouping { labels: vec![0; self.n], tried: vec![] };
        }
        let mut all = self.all.clone();
        let steps = linkage(&mut all, self.n, Method::Ward);
        let cut = |count: usize| {
            let steps = steps.steps()[..self.n - count].iter();
            labels(self.n, steps.map(|step| [step.cluster1, step.cluster2]))
        };
        if let Some(count) = count {
            let labels = cut(count);
            let tried = vec![(count, self.silhouette(&labels).unwrap_or(0.0))];
            return Grouping { labels, tried };
        }
        let tried =
            (2..=MOST.min(self.n - 1)).map(|count| (count, self.silhouette(&cut(count)).unwrap_or(0.0)));
        let tried: Vec<_> = tried.collect();
        // Of equals the fewest groups.
        let best = tried.iter().copied().reduce(|best, next| if next.1 > best.1 { next } else { best });
        let count = best.filter(|(_, silhouette)| *silhouette >= ENOUGH).map_or(1, |(count, _)| count);
        Grouping { labels: cut(count), tried }
    }

    /// How far groups part, between -1 and 1: the mean over all vectors of how much nearer their own group is than the
    /// next one. A vector alone in its group counts as 0. `None` for fewer than two groups.
    pub fn silhouette(&self, labels: &[usize]) -> Option<f64> {
        let count = labels.iter().max().map_or(0, |last| last + 1);
        if count < 2 {
            return None;
        }
        let mut sizes = vec![0usize; count];
        labels.iter().for_each(|&label| sizes[label] += 1);
        let of = |i: usize| {
            let mut sums = vec![0f64; count];
            for (j, &label) in labels.iter().enumerate() {
                sums[label] += self.between(i, j);
            }
            let own = labels[i];
            if sizes[own] < 2 {
                return 0.0;
            }
            let inside = sums[own] / (sizes[own] - 1) as f64;
            let others =
                (0..count).filter(|&label| label != own).map(|label| sums[label] / sizes[label] as f64);
            let outside = others.fold(f64::INFINITY, f64::min);
            let most = inside.max(outside);
            if most > 0.0 { (outside - inside) / most } else { 0.0 }
        };
        Some((0..self.n).map(of).sum::<f64>() / self.n as f64)
    }
}

/// The groups after some steps, each of which joins two: items are 0 to `n - 1`, and what a step makes has the next number.
fn labels(n: usize, steps: impl Iterator<Item = [usize; 2]>) -> Vec<usize> {
    let mut members: Vec<Vec<usize>> = (0..n).map(|item| vec![item]).collect();
    for [first, second] in steps {
        let mut joined = std::mem::take(&mut members[first]);
        joined.append(&mut members[second]);
        members.push(joined);
    }
    let mut groups: Vec<_> = members.into_iter().filter(|group| !group.is_empty()).collect();
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group[0]));
    let mut labels = vec![0; n];
    for (label, group) in groups.iter().enumerate() {
        group.iter().for_each(|&item| labels[item] = label);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directions of a plane, in degrees.
    fn directions(degrees: &[f32]) -> Distances {
        let row = |degrees: &f32| [3.0 * degrees.to_radians().cos(), 3.0 * degrees.to_radians().sin()];
        let all: Vec<f32> = degrees.iter().flat_map(row).collect();
        Distances::new(ArrayView2::from_shape((degrees.len(), 2), &all).unwrap())
    }

    #[test]
    fn clear_groups_are_found_and_counted() {
        let distances = directions(&[0.0, 120.0, 2.0, 122.0, 4.0, 240.0, 241.0]);
        assert!((distances.between(1, 0) - 3f64.sqrt()).abs() < 1e-6);
        assert!((distances.between(5, 6) - 2.0 * 0.5f64.to_radians().sin()).abs() < 1e-3);
        let found = distances.group(None);
        assert_eq!(found.labels, [0, 1, 0, 1, 0, 2, 2]);
        assert_eq!(found.tried.len(), 5);
        assert!(distances.silhouette(&found.labels).unwrap() > 0.9);
        let two = distances.group(Some(2)).labels;
        assert_eq!(two.iter().max(), Some(&1));
    }

    #[test]
    fn a_single_cloud_is_one_group() {
        let same = directions(&[10.0; 6]).group(None);
        assert_eq!(same.labels, [0; 6]);
        assert_eq!(directions(&[10.0; 6]).silhouette(&[0, 0, 0, 1, 1, 1]), Some(0.0));
        for few in [&[][..], &[1.0], &[1.0, 90.0]] {
            assert_eq!(directions(few).group(None).labels, vec![0; few.len()]);
        }
        assert_eq!(directions(&[1.0, 90.0]).group(Some(2)).labels, [0, 1]);
        assert_eq!(directions(&[1.0, 2.0]).silhouette(&[0, 0]), None);
    }

    /// Against the formula of the paper in NumPy, in `f64`.
    #[test]
    fn silhouettes_are_those_of_the_paper() {
        let distances = directions(&[0.0, 20.0, 50.0, 90.0, 130.0]);
        let found = distances.silhouette(&[0, 0, 0, 1, 1]).unwrap();
        assert!((found - 0.512_478_337).abs() < 1e-5, "{found}");
    }
}
