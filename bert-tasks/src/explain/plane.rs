//! Vectors on a plane: their first two principal components.

use bert_core::random::Random;
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// How often a direction is improved. The first two of hidden states are far enough apart for fewer.
const ITERATIONS: usize = 200;

/// The coordinates of each vector `[n, features]` on the plane that shows most of their variance, and which share of it each
/// axis shows. Of two mirror images, always the same one.
pub fn plane(vectors: ArrayView2<'_, f32>) -> (Vec<[f64; 2]>, [f64; 2]) {
    let x = vectors.mapv(f64::from);
    let Some(mean) = x.mean_axis(Axis(0)) else { return (vec![], [0.0; 2]) };
    let x = x - mean;
    let n = x.nrows();
    // Products of all pairs: few vectors of many features.
    let mut products: Array2<f64> = x.dot(&x.t());
    let trace: f64 = products.diag().sum();
    let (mut points, mut shares) = (vec![[0.0; 2]; n], [0.0; 2]);
    for axis in 0..2 {
        let random = Random::new(1).numbered(axis as u64);
        let mut direction: Array1<f64> = (0..n as u64).map(|i| random.normal(i)).collect();
        let mut size = 0.0;
        for _ in 0..ITERATIONS {
            let next = products.dot(&direction);
            size = next.dot(&next).sqrt();
            // What is left is rounding.
            if size <= 1e-12 * trace.max(f64::MIN_POSITIVE) {
                size = 0.0;
                break;
            }
            direction = next / size;
        }
        if size == 0.0 {
            break;
        }
        let largest =
            direction.iter().copied().fold(0.0, |most: f64, x| if x.abs() > most.abs() { x } else { most });
        if largest < 0.0 {
            direction = -direction;
        }
        points.iter_mut().zip(&direction).for_each(|(point, x)| point[axis] = x * size.sqrt());
        shares[axis] = size / trace;
        let column = direction.view().insert_axis(Axis(1)).to_owned();
        products = products - column.dot(&column.t()) * size;
    }
    (points, shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_on_a_plane_are_kept() {
        let points = [[0.0, 0.0], [4.0, 0.0], [0.0, 1.0], [4.0, 1.5], [2.0, 0.5f32]];
        let turned = points.map(|[x, y]| [0.6 * x - 0.8 * y + 7.0, 0.8 * x + 0.6 * y, 3.0]).concat();
        let (found, shares) = plane(ArrayView2::from_shape((5, 3), &turned).unwrap());
        for i in 0..5 {
            for j in 0..5 {
                let apart = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
                let before = apart(points[i].map(f64::from), points[j].map(f64::from));
                assert!((apart(found[i], found[j]) - before).abs() < 1e-4);
            }
        }
        assert!(shares[0] > shares[1] && (shares[0] + shares[1] - 1.0).abs() < 1e-6, "{shares:?}");
    }

    #[test]
    fn what_has_no_plane_is_a_point() {
        assert_eq!(plane(ArrayView2::from_shape((0, 3), &[]).unwrap()).0, Vec::<[f64; 2]>::new());
        let same = plane(ArrayView2::from_shape((2, 2), &[1.0, 2.0, 1.0, 2.0]).unwrap());
        assert_eq!(same, (vec![[0.0; 2]; 2], [0.0; 2]));
    }
}
