//! Activations on their way into products of less than 32 bits, row by row: what becomes of a row depends on
//! nothing else.

use half::bf16;

use super::{dispatch, norm};
use crate::simd::Simd;

/// What the bytes of a row stand for: `(byte - zero) * scale`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub(crate) struct RowScale {
    pub scale: f32,
    pub zero: i32,
}

// SAFETY: two numbers of four bytes, for which all bits are valid.
unsafe impl bytemuck::Zeroable for RowScale {}
// SAFETY: as above, and nothing between them.
unsafe impl bytemuck::Pod for RowScale {}

dispatch! {
    /// Rounds a row to bytes in `0..=most` that reach from its smallest number, or 0, to its largest, or 0.
    /// Bytes beyond the row become 0.
    ///
    /// 0 stays exactly 0. A number that is not finite makes the scale NaN, and with it every result of the row.
    pub(crate) fn to_bytes(row: &[f32], most: u8, out: &mut [u8]) -> RowScale = to_bytes_generic;
}

dispatch! {
    /// Rounds to bf16, halves to even. Numbers beyond the row become 0.
    pub(crate) fn to_bf16(row: &[f32], out: &mut [bf16]) = to_bf16_generic;
}

dispatch! {
    /// As [`to_bf16`], into numbers of 32 bits.
    pub(crate) fn round_to_bf16(row: &[f32], out: &mut [f32]) = round_to_bf16_generic;
}

/// `1.5 * 2²³`: a number near 0 that this is added to has been rounded to an integer, which its bits end in.
const ROUNDER: f32 = 12_582_912.0;

/// All set in what is infinite or no number.
const EXPONENT: u32 = 0x7f80_0000;

#[inline(always)]
fn to_bytes_generic<S: Simd>(s: S, row: &[f32], most: u8, out: &mut [u8]) -> RowScale {
    let (low, high) = norm::range(s, row);
    let (low, high) = (low.min(0.0), high.max(0.0));
    let most = f32::from(most);
    // Halves first: the difference of two large numbers can be infinite.
    let scale = 2.0 * (high / (2.0 * most) - low / (2.0 * most));
    // A row of nothing but zeros, or of numbers whose reciprocal is infinite, is one of zeros.
    let inverse = if scale >= 2.0 * f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 };
    let zero = (-low * inverse).round_ties_even().clamp(0.0, most);
    let (row_bytes, padding) = out.split_at_mut(row.len());
    let (lowest, highest) = (-zero, most - zero);
    let mut spoilt = 0;
    for (to, &x) in row_bytes.iter_mut().zip(row) {
        spoilt |= u32::from(x.to_bits() & EXPONENT == EXPONENT);
        let x = x * inverse;
        let x = if x > lowest { x } else { lowest };
        let x = if x < highest { x } else { highest };
        *to = ((x + ROUNDER).to_bits() as u8).wrapping_add(zero as u8);
    }
    padding.fill(0);
    RowScale { scale: if spoilt == 0 { scale } else { f32::NAN }, zero: zero as i32 }
}

/// The bits of the nearest bf16, in the upper half.
#[inline(always)]
fn nearest_bf16(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    // Rounding could carry a NaN over into a number.
    if x.is_nan() { 0x7fc0_0000 } else { rounded }
}

#[inline(always)]
fn to_bf16_generic<S: Simd>(_: S, row: &[f32], out: &mut [bf16]) {
    let (numbers, padding) = out.split_at_mut(row.len());
    for (to, &x) in numbers.iter_mut().zip(row) {
        *to = bf16::from_bits((nearest_bf16(x) >> 16) as u16);
    }
    padding.fill(bf16::ZERO);
}

#[inline(always)]
fn round_to_bf16_generic<S: Simd>(_: S, row: &[f32], out: &mut [f32]) {
    let (numbers, padding) = out.split_at_mut(row.len());
    for (to, &x) in numbers.iter_mut().zip(row) {
        *to = f32::from_bits(nearest_bf16(x));
    }
    padding.fill(0.0);
}
