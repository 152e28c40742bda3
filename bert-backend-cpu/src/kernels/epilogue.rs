//! What follows a matrix product: sums become numbers of C, with bias and activation.

use bert_core::ops::Activation;

use super::math;
use crate::simd::Simd;

/// Where the numbers go, and what is done to them on the way.
#[derive(Clone, Copy)]
pub(crate) struct Output<'a> {
    /// Columns of the panels of sums, a multiple of the lanes.
    pub width: usize,
    /// First element of C, and the distance between its rows.
    pub c: *mut f32,
    pub c_stride: usize,
    pub rows: usize,
    pub columns: usize,
    /// Added to each row of C, and applied after that.
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
}

/// Writes C. Row by row, so that each line and page of it is met once.
///
/// `number(row, column, sum)` gives a vector of results before the bias; `sum` is where the sums of this row and
/// column lie among panels of `rows * width` sums each.
///
/// # Safety
/// `rows` rows of `columns` numbers of C must be writable; `number` may rely on what it is told.
#[inline(always)]
pub(crate) unsafe fn finish<S: Simd>(s: S, out: &Output<'_>, number: impl Fn(usize, usize, usize) -> S::V) {
    debug_assert!(out.width.is_multiple_of(S::LANES));
    macro_rules! each {
        (|$x:ident| $f:expr) => {
            for row in 0..out.rows {
                for column in (0..out.columns).step_by(S::LANES) {
                    let panel = column / out.width * out.rows * out.width;
                    let number = number(row, column, panel + row * out.width + column % out.width);
                    let $x = out.bias.map_or(number, |bias| s.add(number, s.read(bias, column)));
                    let count = S::LANES.min(out.columns - column);
                    // SAFETY: inside C, as the caller promises.
                    unsafe {
                        let to = out.c.add(row * out.c_stride + column);
                        if count == S::LANES { s.store(to, $f) } else { s.store_first(to, count, $f) }
                    }
                }
            }
        };
    }
    match out.activation {
        Activation::Identity => each!(|x| x),
        Activation::Gelu => each!(|x| math::gelu(s, x)),
        Activation::GeluTanh => each!(|x| math::gelu_tanh(s, x)),
        Activation::Relu => each!(|x| math::relu(s, x)),
        Activation::Tanh => each!(|x| math::tanh(s, x)),
    }
}
