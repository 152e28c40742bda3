//! x86-64 with AVX-512F.

use std::arch::x86_64::*;

use half::bf16;

use super::Simd;

/// Proof that AVX-512F may be used.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The machine must have AVX-512F.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Self(())
    }
}

/// The first `count` lanes on.
#[inline(always)]
fn mask(count: usize) -> __mmask16 {
    ((1u32 << count.min(16)) - 1) as __mmask16
}

/// `f` of all lanes, by halves, in the order of [`Simd::fold`].
#[inline(always)]
fn fold_halves(v: __m512, f: impl Fn(__m512, __m512) -> __m512) -> f32 {
    // SAFETY: only methods of the token call this.
    unsafe {
        let v = f(v, _mm512_shuffle_f32x4::<0x4e>(v, v));
        let v = f(v, _mm512_shuffle_f32x4::<0xb1>(v, v));
        let v = f(v, _mm512_permute_ps::<0x4e>(v));
        let v = f(v, _mm512_permute_ps::<0xb1>(v));
        _mm512_cvtss_f32(v)
    }
}

/// Whether a lane is NaN.
#[inline(always)]
fn any_nan(v: __m512) -> bool {
    // SAFETY: only methods of the token call this.
    unsafe { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v) != 0 }
}

impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;
    // 24 accumulators, two columns and one broadcast: 27 of 32 registers. Rows of 14 would fit too, but 12
    // divides more row counts evenly.
    const TILE_ROWS: usize = 12;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx2,fma")]
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
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::V {
        // SAFETY: lanes that are masked out are not read.
        unsafe { _mm512_maskz_loadu_ps(mask(count), from) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, v: Self::V) {
        // SAFETY: lanes that are masked out are not written.
        unsafe { _mm512_mask_storeu_ps(to, mask(count), v) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        }
    }

    #[inline(always)]
    unsafe fn load_difference(self, sums: *const i32, offset: i32, columns: *const i32) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe {
            let (sums, columns) = (_mm512_loadu_si512(sums.cast()), _mm512_loadu_si512(columns.cast()));
            let offsets = _mm512_mullo_epi32(_mm512_set1_epi32(offset), columns);
            _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, offsets))
        }
    }

    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        for (row, column) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
            // SAFETY: the caller's promise; whatever has AVX-512 has AVX2.
            unsafe {
                let (from, to) = (from.add(row * from_stride + column), to.add(column * to_stride + row));
                super::avx2::transpose(from, from_stride, to, to_stride);
            }
        }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: the token is the proof.
        unsafe { _mm512_set1_ps(x) }
    }

    vector_ops! {
        add(a, b) = _mm512_add_ps(a, b);
        sub(a, b) = _mm512_sub_ps(a, b);
        mul(a, b) = _mm512_mul_ps(a, b);
        div(a, b) = _mm512_div_ps(a, b);
        fma(a, b, c) = _mm512_fmadd_ps(a, b, c);
        min(a, b) = _mm512_min_ps(a, b);
        max(a, b) = _mm512_max_ps(a, b);
        abs(a) = _mm512_abs_ps(a);
        sqrt(a) = _mm512_sqrt_ps(a);
        round(a) = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        pow2(n) = {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        };
        select_lt(a, b, yes, no) = _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), no, yes);
    }

    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        fold_halves(
            v,
            #[inline(always)]
            |a, b| self.add(a, b),
        )
    }

    #[inline(always)]
    fn largest(self, v: Self::V) -> f32 {
        if any_nan(v) {
            f32::NAN
        } else {
            fold_halves(
                v,
                #[inline(always)]
                |a, b| self.max(a, b),
            )
        }
    }

    #[inline(always)]
    fn smallest(self, v: Self::V) -> f32 {
        if any_nan(v) {
            f32::NAN
        } else {
            fold_halves(
                v,
                #[inline(always)]
                |a, b| self.min(a, b),
            )
        }
    }
}
