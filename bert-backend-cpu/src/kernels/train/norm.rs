//! Gradients of LayerNorm.

use crate::kernels::norm::{squares_around, sum};
use crate::simd::{Simd, dispatch};

dispatch! {
    /// The gradient of some rows `x`, each as long as `weight`, given that of what they were normalised to; `sums` is
    /// filled with what they contribute to the gradients of the weight and, behind it, of the bias.
    pub(crate) fn layer_norm_backward(
        x: &[f32],
        dy: &[f32],
        weight: &[f32],
        eps: f32,
        dx: &mut [f32],
        sums: &mut [f32],
    ) = generic;
}

/// With `n` the normalised row, `r` what it was scaled by, and `g = dy * weight`:
/// `dx = r (g - mean(g) - n mean(g n))`. Mean and variance are those of the forward pass, to the last bit.
#[inline(always)]
fn generic<S: Simd>(s: S, x: &[f32], dy: &[f32], weight: &[f32], eps: f32, dx: &mut [f32], sums: &mut [f32]) {
    let hidden = weight.len();
    sums.fill(0.0);
    let (weight_sums, bias_sums) = sums.split_at_mut(hidden);
    let rows = x.chunks_exact(hidden).zip(dy.chunks_exact(hidden)).zip(dx.chunks_exact_mut(hidden));
    for ((x, dy), dx) in rows {
        let length = hidden as f32;
        let mean = sum(s, x) / length;
        let variance = squares_around(s, x, mean) / length;
        let (mean, scale) = (s.splat(mean), s.splat(1.0 / (variance + eps).sqrt()));
        let (mut plain, mut along) = (s.splat(0.0), s.splat(0.0));
        for at in (0..hidden).step_by(S::LANES) {
            let dy = s.read(dy, at);
            // Behind the end of the row dy is 0, and so is what it is multiplied with.
            let normal = s.mul(s.sub(s.read(x, at), mean), scale);
            let scaled = s.mul(dy, s.read(weight, at));
            plain = s.add(plain, scaled);
            along = s.fma(scaled, normal, along);
            s.write(weight_sums, at, s.fma(dy, normal, s.read(weight_sums, at)));
            s.write(bias_sums, at, s.add(dy, s.read(bias_sums, at)));
        }
        let (plain, along) = (s.splat(s.sum(plain) / length), s.splat(s.sum(along) / length));
        for at in (0..hidden).step_by(S::LANES) {
            let normal = s.mul(s.sub(s.read(x, at), mean), scale);
            let scaled = s.mul(s.read(dy, at), s.read(weight, at));
            let rest = s.sub(s.sub(scaled, plain), s.mul(normal, along));
            s.write(dx, at, s.mul(rest, scale));
        }
    }
}
