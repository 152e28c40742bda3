//! Functions of each element, and of pairs of elements.

use bert_core::contract::{BinaryOp, UnaryOp};

use super::math;
use crate::simd::{Simd, dispatch};

dispatch! {
    /// `out[i] = op(x[i])`, for every function but the casts.
    pub(crate) fn unary(op: UnaryOp, x: &[f32], out: &mut [f32]) = unary_generic;
}

dispatch! {
    /// `out[i] = op(a[i], b[i])`
    pub(crate) fn binary(op: BinaryOp, a: &[f32], b: &[f32], out: &mut [f32]) = binary_generic;
}

dispatch! {
    /// `out[i] += x[i]`
    pub(crate) fn add_to(out: &mut [f32], x: &[f32]) = add_to_generic;
}

dispatch! {
    /// `out[i] = max(out[i], x[i])`
    pub(crate) fn max_to(out: &mut [f32], x: &[f32]) = max_to_generic;
}

dispatch! {
    /// `out[i] *= factor`
    pub(crate) fn scale(out: &mut [f32], factor: f32) = scale_generic;
}

#[inline(always)]
fn unary_generic<S: Simd>(s: S, op: UnaryOp, x: &[f32], out: &mut [f32]) {
    macro_rules! each {
        (|$x:ident| $f:expr) => {
            for at in (0..out.len()).step_by(S::LANES) {
                let $x = s.read(x, at);
                s.write(out, at, $f);
            }
        };
    }
    let one = s.splat(1.0);
    match op {
        UnaryOp::Copy | UnaryOp::Cast(_) => out.copy_from_slice(x),
        UnaryOp::Scale(factor) => each!(|x| s.mul(x, s.splat(factor as f32))),
        UnaryOp::Offset(offset) => each!(|x| s.add(x, s.splat(offset as f32))),
        UnaryOp::Exp => each!(|x| math::exp(s, x)),
        UnaryOp::Log => out.iter_mut().zip(x).for_each(|(y, x)| *y = x.ln()),
        UnaryOp::Sqrt => each!(|x| s.sqrt(x)),
        UnaryOp::Reciprocal => each!(|x| s.div(one, x)),
        UnaryOp::Tanh => each!(|x| math::tanh(s, x)),
        UnaryOp::Sigmoid => each!(|x| math::sigmoid(s, x)),
        UnaryOp::Relu => each!(|x| math::relu(s, x)),
        UnaryOp::Gelu => each!(|x| math::gelu(s, x)),
        UnaryOp::GeluTanh => each!(|x| math::gelu_tanh(s, x)),
    }
}

#[inline(always)]
fn binary_generic<S: Simd>(s: S, op: BinaryOp, a: &[f32], b: &[f32], out: &mut [f32]) {
    macro_rules! each {
        (|$a:ident, $b:ident| $f:expr) => {
            for at in (0..out.len()).step_by(S::LANES) {
                let ($a, $b) = (s.read(a, at), s.read(b, at));
                s.write(out, at, $f);
            }
        };
    }
    match op {
        BinaryOp::Add => each!(|a, b| s.add(a, b)),
        BinaryOp::Sub => each!(|a, b| s.sub(a, b)),
        BinaryOp::Mul => each!(|a, b| s.mul(a, b)),
        BinaryOp::Div => each!(|a, b| s.div(a, b)),
        BinaryOp::Max => each!(|a, b| s.max(a, b)),
    }
}

#[inline(always)]
fn add_to_generic<S: Simd>(s: S, out: &mut [f32], x: &[f32]) {
    for at in (0..out.len()).step_by(S::LANES) {
        s.write(out, at, s.add(s.read(out, at), s.read(x, at)));
    }
}

#[inline(always)]
fn max_to_generic<S: Simd>(s: S, out: &mut [f32], x: &[f32]) {
    for at in (0..out.len()).step_by(S::LANES) {
        s.write(out, at, s.max(s.read(out, at), s.read(x, at)));
    }
}

#[inline(always)]
pub(crate) fn scale_generic<S: Simd>(s: S, out: &mut [f32], factor: f32) {
    let factor = s.splat(factor);
    for at in (0..out.len()).step_by(S::LANES) {
        s.write(out, at, s.mul(s.read(out, at), factor));
    }
}
