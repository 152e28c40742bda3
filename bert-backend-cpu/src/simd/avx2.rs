//! x86-64 with AVX2 and FMA.

use std::arch::asm;
use std::arch::x86_64::*;

use half::bf16;

use super::Simd;

/// Proof that AVX2 and FMA may be used.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// Keeps loads that come later in the program behind this vector. The compiler would load what several steps of a
/// product multiply it with, and then run out of registers for the sums.
#[inline]
#[target_feature(enable = "avx2")]
fn in_turn(mut x: __m256) -> __m256 {
    // SAFETY: no instruction at all; that it might write memory is what the compiler is to believe.
    unsafe { asm!("/* {0} */", inout(ymm_reg) x, options(nostack, preserves_flags)) };
    x
}

/// A square of eight rows and columns, see [`Simd::transpose`].
///
/// # Safety
/// As there.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    // SAFETY: the caller's promise.
    let four_rows = |first: usize| unsafe {
        let row = |i: usize| _mm256_loadu_ps(from.add((first + i) * from_stride));
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        // In each half of a vector: the numbers of two rows in turn, then those of four.
        let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
        let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
        [
            _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd),
            _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd),
            _mm256_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
            _mm256_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
        ]
    };
    for (i, (low, high)) in four_rows(0).into_iter().zip(four_rows(4)).enumerate() {
        // SAFETY: as above.
        unsafe {
            _mm256_storeu_ps(to.add(i * to_stride), _mm256_permute2f128_ps::<0x20>(low, high));
            _mm256_storeu_ps(to.add((i + 4) * to_stride), _mm256_permute2f128_ps::<0x31>(low, high));
        }
    }
}

impl Avx2 {
    /// # Safety
    /// The machine must have AVX2 and FMA.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Self(())
    }
}

/// The first `count` lanes on.
#[inline(always)]
fn mask(count: usize) -> __m256i {
    static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    let at = &MASKS[8 - count.min(8)..][..8];
    // SAFETY: eight numbers are readable; a token exists where this is called.
    unsafe { _mm256_loadu_si256(at.as_ptr().cast()) }
}

impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    // Twelve accumulators, two columns and one broadcast: fifteen of sixteen registers.
    const TILE_ROWS: usize = 6;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2,fma")]
        #[inline(never)]
        fn with_features<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        // SAFETY: the token is the proof that these instructions may run.
        unsafe { with_features(f) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::V {
        // SAFETY: lanes that are masked out are not read.
        unsafe { _mm256_maskload_ps(from, mask(count)) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, v: Self::V) {
        // SAFETY: lanes that are masked out are not written.
        unsafe { _mm256_maskstore_ps(to, mask(count), v) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe {
            let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            in_turn(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits)))
        }
    }

    #[inline(always)]
    unsafe fn load_difference(self, sums: *const i32, offset: i32, columns: *const i32) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe {
            let (sums, columns) = (_mm256_loadu_si256(sums.cast()), _mm256_loadu_si256(columns.cast()));
            let offsets = _mm256_mullo_epi32(_mm256_set1_epi32(offset), columns);
            _mm256_cvtepi32_ps(_mm256_sub_epi32(sums, offsets))
        }
    }

    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the caller's promise; the token is the proof.
        unsafe { transpose(from, from_stride, to, to_stride) }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: the token is the proof.
        unsafe { _mm256_set1_ps(x) }
    }

    vector_ops! {
        add(a, b) = _mm256_add_ps(a, b);
        sub(a, b) = _mm256_sub_ps(a, b);
        mul(a, b) = _mm256_mul_ps(a, b);
        div(a, b) = _mm256_div_ps(a, b);
        fma(a, b, c) = _mm256_fmadd_ps(a, b, c);
        min(a, b) = _mm256_min_ps(a, b);
        max(a, b) = _mm256_max_ps(a, b);
        abs(a) = _mm256_andnot_ps(_mm256_set1_ps(-0.0), a);
        sqrt(a) = _mm256_sqrt_ps(a);
        round(a) = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        pow2(n) = {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        };
        select_lt(a, b, yes, no) = _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b));
    }
}
