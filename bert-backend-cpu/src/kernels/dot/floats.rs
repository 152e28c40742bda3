//! Products of floating-point numbers on any [`Simd`].

use half::bf16;

use super::Dot;
use crate::simd::Simd;

/// `f32` times `f32`.
#[derive(Clone, Copy)]
pub(crate) struct Floats<S>(pub S);

/// `f32` times `bf16`, where nothing multiplies bf16 itself. The panels take half the memory; the arithmetic is
/// that of [`Floats`].
#[derive(Clone, Copy)]
pub(crate) struct Widened<S>(pub S);

/// What both have in common.
macro_rules! float_sums {
    () => {
        type A = f32;
        type Sum = f32;
        type Acc = S::V;
        type Row = S::V;
        type Columns = S::V;
        const LANES: usize = S::LANES;
        const ROWS: usize = S::TILE_ROWS;
        const STEP: usize = 1;

        #[inline(always)]
        fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
            self.0.vectorize(f)
        }

        #[inline(always)]
        fn prefetch(self, at: *const u8) {
            self.0.prefetch(at.cast());
        }

        #[inline(always)]
        fn zero(self) -> S::V {
            self.0.splat(0.0)
        }

        #[inline(always)]
        unsafe fn row(self, from: *const f32) -> S::V {
            // SAFETY: the caller's promise.
            self.0.splat(unsafe { *from })
        }

        #[inline(always)]
        fn dot(self, [low, high]: [S::V; 2], row: S::V, columns: [S::V; 2]) -> [S::V; 2] {
            [self.0.fma(row, columns[0], low), self.0.fma(row, columns[1], high)]
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32, acc: S::V) {
            // SAFETY: the caller's promise.
            unsafe { self.0.store(to, acc) }
        }

        #[inline(always)]
        unsafe fn accumulate(self, to: *mut f32, acc: S::V) {
            // SAFETY: the caller's promise.
            unsafe { self.0.store(to, self.0.add(self.0.load(to), acc)) }
        }

        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize, acc: S::V) {
            // SAFETY: the caller's promise.
            unsafe { self.0.store_first(to, count, acc) }
        }
    };
}

impl<S: Simd> Dot for Floats<S> {
    type B = f32;
    float_sums!();

    #[inline(always)]
    unsafe fn columns(self, from: *const f32) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { self.0.load(from) }
    }
}

impl<S: Simd> Dot for Widened<S> {
    type B = bf16;
    float_sums!();

    #[inline(always)]
    unsafe fn columns(self, from: *const bf16) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { self.0.load_bf16(from) }
    }
}
