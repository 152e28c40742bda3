//! The cross-entropy of a row of scores, and its gradient.

use crate::kernels::norm::{largest, numerators, sum};
use crate::simd::{Simd, dispatch};

dispatch! {
    /// The loss of a row of scores for a distribution; `gradient` is filled with its gradient.
    pub(crate) fn cross_entropy(logits: &[f32], target: &[f32], gradient: &mut [f32]) -> f32 = distribution;
}

dispatch! {
    /// The loss of a row of scores for one class, of which a share is spread over all classes; `gradient` is filled
    /// with its gradient. Both are multiplied with `factor`.
    pub(crate) fn cross_entropy_class(
        logits: &[f32],
        class: usize,
        smoothing: f32,
        factor: f32,
        gradient: &mut [f32],
    ) -> f32 = one_class;
}

#[inline(always)]
fn distribution<S: Simd>(s: S, logits: &[f32], target: &[f32], gradient: &mut [f32]) -> f32 {
    gradient.copy_from_slice(logits);
    let most = largest(s, logits);
    let total = numerators(s, gradient, 1.0);
    let logarithm = total.ln();
    let (most, logarithm) = (s.splat(most), s.splat(logarithm));
    let expected = s.splat(sum(s, target) / total);
    let mut loss = s.splat(0.0);
    for at in (0..logits.len()).step_by(S::LANES) {
        let target = s.read(target, at); // 0 behind the end
        let distance = s.sub(logarithm, s.sub(s.read(logits, at), most));
        loss = s.fma(target, distance, loss);
        s.write(gradient, at, s.sub(s.mul(s.read(gradient, at), expected), target));
    }
    s.sum(loss)
}

#[inline(always)]
fn one_class<S: Simd>(
    s: S,
    logits: &[f32],
    class: usize,
    smoothing: f32,
    factor: f32,
    gradient: &mut [f32],
) -> f32 {
    let classes = logits.len() as f32;
    gradient.copy_from_slice(logits);
    let most = largest(s, logits);
    let total = numerators(s, gradient, 1.0);
    let (share, rest) = (smoothing / classes, 1.0 - smoothing);
    let mut loss = rest * (total.ln() - (logits[class] - most));
    if smoothing != 0.0 {
        let (logarithm, most_lanes) = (s.splat(total.ln()), s.splat(most));
        let mut distances = s.splat(0.0);
        let (whole, rest) = logits.split_at(logits.len() / S::LANES * S::LANES);
        for at in (0..whole.len()).step_by(S::LANES) {
            let shifted = s.sub(s.read(whole, at), most_lanes);
            distances = s.add(distances, s.sub(logarithm, shifted));
        }
        let last: f32 = rest.iter().map(|x| total.ln() - (x - most)).sum();
        loss += share * (s.sum(distances) + last);
    }
    let (scale, offset) = (s.splat(factor / total), s.splat(-share * factor));
    for at in (0..gradient.len()).step_by(S::LANES) {
        s.write(gradient, at, s.fma(s.read(gradient, at), scale, offset));
    }
    gradient[class] -= rest * factor;
    loss * factor
}
