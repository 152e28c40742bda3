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

/// Ones of 16 bits: what makes `vpmaddwd` an addition of pairs.
// SAFETY: both types are 256 bits of any value.
static ONES: __m256i = unsafe { std::mem::transmute([1i16; 16]) };

// Written out, since the order of instructions and the number of registers count: two products and then two sums
// share the ports better than a product and a sum in turn, and need one register beside the row's own.

/// Products of a row with two vectors of columns, in pairs.
#[inline]
#[target_feature(enable = "avx2")]
fn products(row: __m256i, [low, high]: [__m256i; 2]) -> [__m256i; 2] {
    let (first, second): (__m256i, __m256i);
    // SAFETY: these instructions touch nothing but registers.
    unsafe {
        asm!(
            "vpmaddubsw {first}, {row}, {low}",
            "vpmaddubsw {second}, {row}, {high}",
            row = in(ymm_reg) row,
            low = in(ymm_reg) low,
            high = in(ymm_reg) high,
            first = out(ymm_reg) first,
            second = lateout(ymm_reg) second,
            options(nomem, nostack, preserves_flags),
        );
    }
    [first, second]
}

/// The same, added to those before.
#[inline]
#[target_feature(enable = "avx2")]
fn add_products(
    [mut first, mut second]: [__m256i; 2],
    row: __m256i,
    [low, high]: [__m256i; 2],
) -> [__m256i; 2] {
    // SAFETY: as above.
    unsafe {
        asm!(
            "vpmaddubsw {product}, {row}, {low}",
            "vpmaddubsw {row}, {row}, {high}",
            "vpaddw {first}, {first}, {product}",
            "vpaddw {second}, {second}, {row}",
            row = inout(ymm_reg) row => _,
            low = in(ymm_reg) low,
            high = in(ymm_reg) high,
            product = out(ymm_reg) _,
            first = inout(ymm_reg) first,
            second = inout(ymm_reg) second,
            options(nomem, nostack, preserves_flags),
        );
    }
    [first, second]
}

/// Adds pairs of 16 bits to sums of 32.
#[inline]
#[target_feature(enable = "avx2")]
fn add_pairs([mut first, mut second]: [__m256i; 2], [low, high]: [__m256i; 2]) -> [__m256i; 2] {
    // SAFETY: as above, and the ones are read.
    unsafe {
        asm!(
            "vpmaddwd {low}, {low}, ymmword ptr [rip + {ones}]",
            "vpmaddwd {high}, {high}, ymmword ptr [rip + {ones}]",
            "vpaddd {first}, {first}, {low}",
            "vpaddd {second}, {second}, {high}",
            low = inout(ymm_reg) low => _,
            high = inout(ymm_reg) high => _,
            first = inout(ymm_reg) first,
            second = inout(ymm_reg) second,
            ones = sym ONES,
            options(readonly, nostack, preserves_flags),
        );
    }
    [first, second]
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
    fn begin(self, [low, high]: [Sums; 2], row: __m256i, columns: [__m256i; 2]) -> [Sums; 2] {
        // SAFETY: the token is the proof that these instructions may run.
        let [first, second] = unsafe { products(row, columns) };
        [Sums { group: first, ..low }, Sums { group: second, ..high }]
    }

    #[inline(always)]
    fn dot(self, [low, high]: [Sums; 2], row: __m256i, columns: [__m256i; 2]) -> [Sums; 2] {
        // SAFETY: as above.
        let [first, second] = unsafe { add_products([low.group, high.group], row, columns) };
        [Sums { group: first, ..low }, Sums { group: second, ..high }]
    }

    #[inline(always)]
    fn settle(self, [low, high]: [Sums; 2]) -> [Sums; 2] {
        // SAFETY: as above.
        let [first, second] = unsafe { add_pairs([low.all, high.all], [low.group, high.group]) };
        [Sums { all: first, ..low }, Sums { all: second, ..high }]
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
