//! Numbers on their way into products of less than 32 bits, row by row: what becomes of a row of activations, or
//! of a weight, depends on nothing else.

use half::bf16;

use super::dot::{ByteLimits, Lane};
use super::norm;
use crate::simd::{Simd, dispatch};

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
    /// Rounds a row of a weight to bytes that no lane of a product overflows with, and gives what one of them
    /// stands for and their sum. The largest number becomes 127 at most; 0 stays exactly 0.
    ///
    /// A number that is not finite makes the scale NaN, and with it every result of the row.
    pub(crate) fn weight_to_bytes(row: &[f32], limits: ByteLimits, out: &mut [i8]) -> (f32, i32)
        = weight_to_bytes_generic;
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

#[inline(always)]
fn weight_to_bytes_generic<S: Simd>(s: S, row: &[f32], limits: ByteLimits, out: &mut [i8]) -> (f32, i32) {
    assert_eq!(row.len(), out.len());
    let (low, high) = norm::range(s, row);
    let mut spoilt = 0;
    for x in row {
        spoilt |= u32::from(x.to_bits() & EXPONENT == EXPONENT);
    }
    if spoilt != 0 {
        out.fill(0);
        return (f32::NAN, 0);
    }
    let mut scale = high.max(-low).max(0.0) / 127.0;
    if let Some(Lane { most, steps }) = limits.lane {
        // Rounding may add half a step to each number of a lane.
        scale = scale.max(largest_lane(row, steps) / (most as f32 - steps as f32));
    }
    // A row of zeros has any scale, and one of numbers too small for a scale is taken for it.
    let scale = if scale >= f32::MIN_POSITIVE { scale } else { f32::MIN_POSITIVE };
    let mut sum = 0;
    for (to, &x) in out.iter_mut().zip(row) {
        *to = (x / scale + ROUNDER).to_bits() as i8;
        sum += i32::from(*to);
    }
    (scale, sum)
}

/// The largest sum of the positive numbers, or of the magnitudes of the negative ones, among those whose products
/// meet in a lane: of `steps` steps of four numbers each the first two, or the last two.
#[inline(always)]
fn largest_lane(row: &[f32], steps: usize) -> f32 {
    let mut largest = [0.0f32; 4];
    for group in row.chunks(4 * steps) {
        let (mut positive, mut negative) = ([0.0f32; 4], [0.0f32; 4]);
        let mut whole = group.chunks_exact(4);
        for step in &mut whole {
            for (i, &x) in step.iter().enumerate() {
                positive[i] += x.max(0.0);
                negative[i] -= x.min(0.0);
            }
        }
        for (i, &x) in whole.remainder().iter().enumerate() {
            positive[i] += x.max(0.0);
            negative[i] -= x.min(0.0);
        }
        for (largest, [a, b, c, d]) in largest.chunks_exact_mut(2).zip([positive, negative]) {
            largest[0] = largest[0].max(a + b);
            largest[1] = largest[1].max(c + d);
        }
    }
    largest.into_iter().fold(0.0, f32::max)
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
