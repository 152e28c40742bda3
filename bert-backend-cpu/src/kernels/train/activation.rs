//! Gradients of activations.

use bert_core::contract::Activation;

use crate::kernels::math;
use crate::simd::{Simd, dispatch};

dispatch! {
    /// `out[i] = dy[i] * activation'(z[i])`
    pub(crate) fn backward(activation: Activation, z: &[f32], dy: &[f32], out: &mut [f32]) = generic;
}

#[inline(always)]
fn generic<S: Simd>(s: S, activation: Activation, z: &[f32], dy: &[f32], out: &mut [f32]) {
    macro_rules! each {
        (|$z:ident, $dy:ident| $f:expr) => {
            for at in (0..out.len()).step_by(S::LANES) {
                let ($z, $dy) = (s.read(z, at), s.read(dy, at));
                s.write(out, at, $f);
            }
        };
    }
    let (zero, one) = (s.splat(0.0), s.splat(1.0));
    match activation {
        Activation::Identity => out.copy_from_slice(dy),
        Activation::Relu => each!(|z, dy| s.select_lt(zero, z, dy, zero)),
        Activation::Gelu => each!(|z, dy| s.mul(dy, math::gelu_slope(s, z))),
        Activation::GeluTanh => each!(|z, dy| s.mul(dy, math::gelu_tanh_slope(s, z))),
        Activation::Tanh => each!(|z, dy| {
            let y = math::tanh(s, z);
            s.mul(dy, s.sub(one, s.mul(y, y)))
        }),
    }
}
