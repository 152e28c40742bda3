//! Products of bytes with AVX512-VNNI, and of bf16 with AVX512-BF16.

use std::arch::x86_64::*;

use half::bf16;

use super::{ByteLimits, Dot};
use crate::simd::{Avx512, Simd};

/// `u8` times `i8`. The token stands for a machine that has VNNI too.
#[derive(Clone, Copy)]
pub(crate) struct VnniBytes(pub Avx512);

/// Pairs of `bf16`. The token stands for a machine that has BF16 too.
#[derive(Clone, Copy)]
pub(crate) struct Bf16Pairs(pub Avx512);

impl VnniBytes {
    pub fn limits(self) -> ByteLimits {
        ByteLimits { most: 255, lane: None }
    }
}

/// A function of its own that is compiled for AVX-512 and the instructions that are named.
macro_rules! vectorize_with {
    ($features:literal) => {
        #[inline(always)]
        fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
            #[target_feature(enable = $features)]
            #[inline(never)]
            fn with_features<R>(f: impl FnOnce() -> R) -> R {
                f()
            }
            // SAFETY: the token is the proof that these instructions may run.
            unsafe { with_features(f) }
        }

        #[inline(always)]
        fn prefetch(self, at: *const u8) {
            self.0.prefetch(at.cast());
        }
    };
}

impl Dot for VnniBytes {
    type A = u8;
    type B = i8;
    type Sum = i32;
    type Acc = __m512i;
    type Row = __m512i;
    type Columns = __m512i;
    const LANES: usize = 16;
    const ROWS: usize = Avx512::TILE_ROWS;
    const STEP: usize = 4;

    vectorize_with!("avx512f,avx512vnni,avx2,fma");

    #[inline(always)]
    fn zero(self) -> __m512i {
        // SAFETY: the token is the proof.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn row(self, from: *const u8) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn columns(self, from: *const i8) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    fn dot(self, [low, high]: [__m512i; 2], row: __m512i, columns: [__m512i; 2]) -> [__m512i; 2] {
        // SAFETY: the token is the proof.
        unsafe { [_mm512_dpbusd_epi32(low, row, columns[0]), _mm512_dpbusd_epi32(high, row, columns[1])] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32, acc: __m512i) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(to.cast(), acc) }
    }

    #[inline(always)]
    unsafe fn accumulate(self, to: *mut i32, acc: __m512i) {
        // SAFETY: the caller's promise.
        unsafe { self.store(to, _mm512_add_epi32(_mm512_loadu_si512(to.cast()), acc)) }
    }
}

impl Bf16Pairs {
    /// The numbers of two vectors in their order, rounded to `bf16`: lane `i` holds numbers `2 i` and `2 i + 1`.
    #[inline(always)]
    pub fn side_by_side(self, low: __m512, high: __m512) -> __m512 {
        // SAFETY: the token is the proof; both types are 512 bits of any value.
        unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(high, low)) }
    }

    /// Each number of one vector beside that of another, rounded to `bf16`.
    #[inline(always)]
    pub fn in_pairs(self, first: __m512, second: __m512) -> __m512 {
        // SAFETY: the token is the proof; both types are 256 bits of any value.
        unsafe {
            let first: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(first));
            let second: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(second));
            let second = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(second));
            _mm512_castsi512_ps(_mm512_or_si512(_mm512_cvtepu16_epi32(first), second))
        }
    }
}

impl Dot for Bf16Pairs {
    type A = bf16;
    type B = bf16;
    type Sum = f32;
    type Acc = __m512;
    type Row = __m512bh;
    type Columns = __m512bh;
    const LANES: usize = 16;
    const ROWS: usize = Avx512::TILE_ROWS;
    const STEP: usize = 2;

    vectorize_with!("avx512f,avx512bf16,avx2,fma");

    #[inline(always)]
    fn zero(self) -> __m512 {
        self.0.splat(0.0)
    }

    #[inline(always)]
    unsafe fn row(self, from: *const bf16) -> __m512bh {
        // SAFETY: the caller's promise; both types are 512 bits of any value.
        unsafe { std::mem::transmute(_mm512_set1_epi32(from.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn columns(self, from: *const bf16) -> __m512bh {
        // SAFETY: as above.
        unsafe { std::mem::transmute(_mm512_loadu_si512(from.cast())) }
    }

    #[inline(always)]
    fn dot(self, [low, high]: [__m512; 2], row: __m512bh, columns: [__m512bh; 2]) -> [__m512; 2] {
        // SAFETY: the token is the proof.
        unsafe { [_mm512_dpbf16_ps(low, row, columns[0]), _mm512_dpbf16_ps(high, row, columns[1])] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, acc: __m512) {
        // SAFETY: the caller's promise.
        unsafe { self.0.store(to, acc) }
    }

    #[inline(always)]
    unsafe fn accumulate(self, to: *mut f32, acc: __m512) {
        // SAFETY: the caller's promise.
        unsafe { self.0.store(to, self.0.add(self.0.load(to), acc)) }
    }
}
