//! What moves parameters.

use crate::kernels::norm::squares_around;
use crate::simd::{Simd, dispatch};

/// The numbers of a step of AdamW, each rounded to `f32` by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors {
    /// What gradients are multiplied with.
    pub scale: f32,
    /// What stays of each mean, and what is added to it.
    pub mean: [f32; 2],
    pub square: [f32; 2],
    /// What the mean of squares is multiplied with, and what is added to its root.
    pub correction: f32,
    pub eps: f32,
    /// The rate, negative, and what stays of the parameter.
    pub rate: f32,
    pub stays: f32,
}

dispatch! {
    /// A step, in place: the same operations in the same order as by words, hence the same bits.
    pub(crate) fn adamw(
        factors: &Factors,
        parameter: &mut [f32],
        mean: &mut [f32],
        square: &mut [f32],
        gradient: &[f32],
    ) = adamw_generic;
}

dispatch! {
    /// The sum of the squares.
    pub(crate) fn squares(x: &[f32]) -> f32 = squares_generic;
}

#[inline(always)]
fn adamw_generic<S: Simd>(
    s: S,
    factors: &Factors,
    parameter: &mut [f32],
    mean: &mut [f32],
    square: &mut [f32],
    gradient: &[f32],
) {
    let Factors { scale, correction, eps, rate, stays, .. } = *factors;
    let [scale, correction, eps] = [scale, correction, eps].map(|x| s.splat(x));
    let [rate, stays] = [rate, stays].map(|x| s.splat(x));
    let ([m0, m1], [v0, v1]) = (factors.mean.map(|x| s.splat(x)), factors.square.map(|x| s.splat(x)));
    for at in (0..parameter.len()).step_by(S::LANES) {
        let gradient = s.mul(s.read(gradient, at), scale);
        let m = s.add(s.mul(s.read(mean, at), m0), s.mul(gradient, m1));
        let v = s.add(s.mul(s.read(square, at), v0), s.mul(s.mul(gradient, gradient), v1));
        s.write(mean, at, m);
        s.write(square, at, v);
        let root = s.add(s.sqrt(s.mul(v, correction)), eps);
        let change = s.div(s.mul(m, rate), root);
        s.write(parameter, at, s.add(s.mul(s.read(parameter, at), stays), change));
    }
}

#[inline(always)]
fn squares_generic<S: Simd>(s: S, x: &[f32]) -> f32 {
    squares_around(s, x, 0.0)
}
