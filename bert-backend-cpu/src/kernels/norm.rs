//! Normalisation of rows: LayerNorm and softmax.
//!
//! Sums run over four vectors of partial sums and then over what is left of the row, in an order that
//! depends on the length of the row alone.

use super::math;
use crate::simd::{Simd, dispatch, larger, smaller};

dispatch! {
    /// `out = (x - mean) / sqrt(variance + eps) * weight + bias`, row by row, in place: `rows` holds x before
    /// and the result after. A row is as long as `weight`.
    pub(crate) fn layer_norm(rows: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) = layer_norm_generic;
}

dispatch! {
    /// Softmax of rows of `length`, in place.
    pub(crate) fn softmax(rows: &mut [f32], length: usize) = softmax_generic;
}

dispatch! {
    /// `exp(scale * (x - max(x)))` of the first `length` numbers of each row of `stride`, in place; the sum
    /// of each row goes to `sums`. `scale` is positive.
    pub(crate) fn softmax_numerators(
        rows: &mut [f32],
        stride: usize,
        length: usize,
        scale: f32,
        sums: &mut [f32],
    ) = numerators_generic;
}

/// Folds a row into one number: `$step(partial, vector)` for whole vectors, `$join` of two partial results
/// or lanes, `$last(partial, number)` for the rest.
macro_rules! fold {
    ($s:ident, $row:ident, $init:expr, $step:expr, $join:expr, $lanes:expr, $last:expr) => {{
        let (s, row): (_, &[f32]) = ($s, $row);
        let mut partial = [s.splat($init); 4];
        // In pieces of a length that the compiler knows: it then leaves out the checks of each vector.
        let mut pieces = row.chunks_exact(4 * S::LANES);
        for piece in &mut pieces {
            for (i, partial) in partial.iter_mut().enumerate() {
                *partial = $step(*partial, s.read(piece, i * S::LANES));
            }
        }
        let mut vectors = pieces.remainder().chunks_exact(S::LANES);
        for vector in &mut vectors {
            partial[0] = $step(partial[0], s.read(vector, 0));
        }
        let all = $join($join(partial[0], partial[1]), $join(partial[2], partial[3]));
        let mut all: f32 = $lanes(all);
        for &x in vectors.remainder() {
            all = $last(all, x);
        }
        all
    }};
}

#[inline(always)]
pub(crate) fn sum<S: Simd>(s: S, row: &[f32]) -> f32 {
    fold!(s, row, 0.0, |a, x| s.add(a, x), |a, b| s.add(a, b), |a| s.sum(a), |a, x| a + x)
}

#[inline(always)]
pub(crate) fn largest<S: Simd>(s: S, row: &[f32]) -> f32 {
    let first = f32::NEG_INFINITY;
    fold!(s, row, first, |a, x| s.max(a, x), |a, b| s.max(a, b), |a| s.largest(a), larger)
}

/// The smallest and the largest number of a row, where all are numbers.
#[inline(always)]
pub(crate) fn range<S: Simd>(s: S, row: &[f32]) -> (f32, f32) {
    let mut partial = [(s.splat(f32::INFINITY), s.splat(f32::NEG_INFINITY)); 4];
    let mut pieces = row.chunks_exact(4 * S::LANES);
    for piece in &mut pieces {
        for (i, (low, high)) in partial.iter_mut().enumerate() {
            let x = s.read(piece, i * S::LANES);
            // Rows lie one after another as a rule: the next one is fetched meanwhile.
            s.prefetch(piece.as_ptr().wrapping_add(row.len() + i * S::LANES));
            (*low, *high) = (s.min(*low, x), s.max(*high, x));
        }
    }
    let [a, b, c, d] = partial;
    let low = s.smallest(s.min(s.min(a.0, b.0), s.min(c.0, d.0)));
    let high = s.largest(s.max(s.max(a.1, b.1), s.max(c.1, d.1)));
    let rest = pieces.remainder().iter();
    rest.fold((low, high), |(low, high), &x| (smaller(low, x), larger(high, x)))
}

#[inline(always)]
pub(crate) fn squares_around<S: Simd>(s: S, row: &[f32], mean: f32) -> f32 {
    let centre = s.splat(mean);
    let step = |a, x| {
        let x = s.sub(x, centre);
        s.fma(x, x, a)
    };
    let last = |a, x: f32| a + (x - mean) * (x - mean);
    fold!(s, row, 0.0, step, |a, b| s.add(a, b), |a| s.sum(a), last)
}

#[inline(always)]
pub(crate) fn layer_norm_generic<S: Simd>(s: S, rows: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    for row in rows.chunks_exact_mut(weight.len()) {
        let length = row.len() as f32;
        let mean = sum(s, row) / length;
        let variance = squares_around(s, row, mean) / length;
        let (mean, scale) = (s.splat(mean), s.splat(1.0 / (variance + eps).sqrt()));
        for at in (0..row.len()).step_by(S::LANES) {
            let normal = s.mul(s.sub(s.read(row, at), mean), scale);
            s.write(row, at, s.fma(normal, s.read(weight, at), s.read(bias, at)));
        }
    }
}

/// Turns the vector at `at` into `exp(scale * (x - largest))`.
#[inline(always)]
fn numerator<S: Simd>(s: S, row: &mut [f32], at: usize, largest: S::V, scale: S::V) -> S::V {
    let y = math::exp_of_negative(s, s.mul(s.sub(s.read(row, at), largest), scale));
    s.write(row, at, y);
    y
}

/// Turns a row into `exp(scale * (x - max))` and gives the sum.
#[inline(always)]
pub(crate) fn numerators<S: Simd>(s: S, row: &mut [f32], scale: f32) -> f32 {
    let (largest, scale) = (s.splat(largest(s, row)), s.splat(scale));
    let mut sums = [s.splat(0.0); 2];
    let mut pieces = row.chunks_exact_mut(2 * S::LANES);
    for piece in &mut pieces {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = s.add(*sum, numerator(s, piece, i * S::LANES, largest, scale));
        }
    }
    let mut vectors = pieces.into_remainder().chunks_exact_mut(S::LANES);
    for vector in &mut vectors {
        sums[0] = s.add(sums[0], numerator(s, vector, 0, largest, scale));
    }
    let rest = vectors.into_remainder();
    numerator(s, rest, 0, largest, scale);
    let total = s.sum(s.add(sums[0], sums[1]));
    rest.iter().fold(total, |sum, x| sum + x)
}

#[inline(always)]
fn numerators_generic<S: Simd>(
    s: S,
    rows: &mut [f32],
    stride: usize,
    length: usize,
    scale: f32,
    sums: &mut [f32],
) {
    for (row, sum) in rows.chunks_exact_mut(stride).zip(sums) {
        *sum = numerators(s, &mut row[..length], scale);
    }
}

#[inline(always)]
fn softmax_generic<S: Simd>(s: S, rows: &mut [f32], length: usize) {
    for row in rows.chunks_exact_mut(length) {
        let sum = s.splat(numerators(s, row, 1.0));
        for at in (0..row.len()).step_by(S::LANES) {
            s.write(row, at, s.div(s.read(row, at), sum));
        }
    }
}
