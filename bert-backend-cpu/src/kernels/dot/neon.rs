//! Products of bytes with NEON: widening multiplications, whose 16-bit results are added in pairs.

use std::arch::aarch64::*;

use super::{ByteLimits, Dot};
use crate::simd::{Neon, Simd};

/// `u8` times `i8`. The former stay below 128, so that they are `i8` as well.
#[derive(Clone, Copy)]
pub(crate) struct NeonBytes(pub Neon);

impl NeonBytes {
    pub fn limits(self) -> ByteLimits {
        ByteLimits { most: 127, lane: None }
    }
}

impl Dot for NeonBytes {
    type A = u8;
    type B = i8;
    type Sum = i32;
    /// Two sums for each column, of two columns in each vector.
    type Acc = [int32x4_t; 2];
    type Row = int8x8_t;
    type Columns = int8x16_t;
    const LANES: usize = 4;
    const ROWS: usize = 4;
    const STEP: usize = 4;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        self.0.vectorize(f)
    }

    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        self.0.prefetch(at.cast());
    }

    #[inline(always)]
    fn zero(self) -> Self::Acc {
        // SAFETY: the token is the proof that these instructions may run.
        unsafe { [vdupq_n_s32(0); 2] }
    }

    #[inline(always)]
    unsafe fn row(self, from: *const u8) -> int8x8_t {
        // SAFETY: the caller's promise.
        unsafe { vreinterpret_s8_s32(vdup_n_s32(from.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn columns(self, from: *const i8) -> int8x16_t {
        // SAFETY: the caller's promise.
        unsafe { vld1q_s8(from) }
    }

    #[inline(always)]
    fn dot(self, acc: [Self::Acc; 2], row: int8x8_t, columns: [int8x16_t; 2]) -> [Self::Acc; 2] {
        let product = |[low, high]: Self::Acc, columns| {
            // SAFETY: the token is the proof.
            unsafe {
                [
                    vpadalq_s16(low, vmull_s8(row, vget_low_s8(columns))),
                    vpadalq_s16(high, vmull_s8(row, vget_high_s8(columns))),
                ]
            }
        };
        [product(acc[0], columns[0]), product(acc[1], columns[1])]
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32, [low, high]: Self::Acc) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_s32(to, vpaddq_s32(low, high)) }
    }

    #[inline(always)]
    unsafe fn accumulate(self, to: *mut i32, [low, high]: Self::Acc) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_s32(to, vaddq_s32(vld1q_s32(to), vpaddq_s32(low, high))) }
    }
}
