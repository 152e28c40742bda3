//! Products of bytes with AVX2.
//!
//! `vpmaddubsw` multiplies and adds pairs into 16 bits, `vpmaddwd` with ones adds pairs of those into 32. The
//! multiplier, which has half the ports of the adder, is the limit, so that four of the former share one of the
//! latter: their 16-bit sums are added first. That is 25% faster than one of each.
//!
//! The first saturates and the addition wraps, hence the limits: eight numbers of a column meet in a lane, and
//! their positive part may be 128 = 32767 / 255. That costs the weights most of a bit. Halving the numbers of A
//! instead would cost them little, and the result more: on trained models its error is then a quarter larger.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{ByteLimits, Dot, Lane};
use crate::simd::{Avx2, Simd};

/// `u8` times `i8`.
#[derive(Clone, Copy)]
pub(crate) struct Avx2Bytes(pub Avx2);

/// The sums of the groups before, and of this group in 16 bits.
#[derive(Clone, Copy)]
pub(crate) struct Sums {
    all: __m256i,
    group: __m256i,
}

impl Avx2Bytes {
    pub fn limits(self) -> ByteLimits {
        let most = 255;
        ByteLimits { most, lane: Some(Lane { most: 32767 / u32::from(most), steps: Self::GROUP }) }
    }
}

/// Keeps the compiler from adding in another order, which would take more registers than there are.
#[inline]
#[target_feature(enable = "avx2")]
fn pin(mut x: __m256i) -> __m256i {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(ymm_reg) x, options(pure, nomem, nostack, preserves_flags)) };
    x
}

impl Dot for Avx2Bytes {
    type A = u8;
    type B = i8;
    type Sum = i32;
    type Acc = Sums;
    type Row = __m256i;
    type Columns = __m256i;
    const LANES: usize = 8;
    // Six accumulators of two registers, two columns, a row and a product: all sixteen.
    const ROWS: usize = 3;
    const STEP: usize = 4;
    const GROUP: usize = 4;
    const LATENT: bool = false;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        self.0.vectorize(f)
    }

    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        self.0.prefetch(at.cast());
    }

    #[inline(always)]
    fn zero(self) -> Sums {
        // SAFETY: the token is the proof that these instructions may run.
        let zero = unsafe { _mm256_setzero_si256() };
        Sums { all: zero, group: zero }
    }

    #[inline(always)]
    unsafe fn row(self, from: *const u8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn columns(self, from: *const i8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    fn begin(self, acc: Sums, row: __m256i, columns: __m256i) -> Sums {
        // SAFETY: the token is the proof.
        Sums { group: unsafe { pin(_mm256_maddubs_epi16(row, columns)) }, ..acc }
    }

    #[inline(always)]
    fn dot(self, acc: Sums, row: __m256i, columns: __m256i) -> Sums {
        // SAFETY: the token is the proof.
        Sums { group: unsafe { pin(_mm256_add_epi16(acc.group, _mm256_maddubs_epi16(row, columns))) }, ..acc }
    }

    #[inline(always)]
    fn settle(self, acc: Sums) -> Sums {
        // SAFETY: the token is the proof.
        let pairs = unsafe { _mm256_madd_epi16(acc.group, _mm256_set1_epi16(1)) };
        // SAFETY: as above.
        Sums { all: unsafe { _mm256_add_epi32(acc.all, pairs) }, ..acc }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32, acc: Sums) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_si256(to.cast(), acc.all) }
    }

    #[inline(always)]
    unsafe fn accumulate(self, to: *mut i32, acc: Sums) {
        // SAFETY: the caller's promise.
        unsafe {
            let sums = _mm256_add_epi32(_mm256_loadu_si256(to.cast()), acc.all);
            _mm256_storeu_si256(to.cast(), sums);
        }
    }
}
