//! What follows a matrix product: sums become numbers of C, with bias and activation.

use bert_core::contract::Activation;

use super::math;
use crate::simd::Simd;

/// How many rows ahead of the writing the lines of C are fetched.
const AHEAD: usize = 5;

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
    assert!(out.width.is_multiple_of(S::LANES) && out.bias.is_none_or(|bias| bias.len() == out.columns));
    macro_rules! each {
        (|$x:ident| $f:expr) => {
            for row in 0..out.rows {
                // SAFETY: this row of C, as the caller promises, and of the bias, as was checked.
                unsafe {
                    each_of_row(
                        s,
                        out,
                        row,
                        &number,
                        #[inline(always)]
                        |$x| $f,
                    );
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

/// One row of [`finish`].
///
/// # Safety
/// As there, and the bias has as many numbers as the row.
#[inline(always)]
unsafe fn each_of_row<S: Simd>(
    s: S,
    out: &Output<'_>,
    row: usize,
    number: &impl Fn(usize, usize, usize) -> S::V,
    activation: impl Fn(S::V) -> S::V,
) {
    let to = out.c.wrapping_add(row * out.c_stride);
    // A row is too short for the hardware to foresee the next one, and what is written has to be fetched first.
    let ahead = to.wrapping_add(AHEAD * out.c_stride);
    // Where the sums of this row lie in the panel at `column`.
    let mut panel = row * out.width;
    for first in (0..out.columns).step_by(out.width) {
        for column in (first..out.columns.min(first + out.width)).step_by(S::LANES) {
            s.prefetch(ahead.wrapping_add(column));
            let mut x = number(row, column, panel + (column - first));
            let count = out.columns - column;
            // SAFETY: the caller's promise.
            unsafe {
                if count >= S::LANES {
                    if let Some(bias) = out.bias {
                        x = s.add(x, s.load(bias.as_ptr().add(column)));
                    }
                    s.store(to.add(column), activation(x));
                } else {
                    if let Some(bias) = out.bias {
                        x = s.add(x, s.load_first(bias.as_ptr().add(column), count));
                    }
                    s.store_first(to.add(column), count, activation(x));
                }
            }
        }
        panel += out.rows * out.width;
    }
}
