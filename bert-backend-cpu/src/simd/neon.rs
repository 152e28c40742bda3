//! AArch64 with NEON, which every AArch64 machine of today has.

use std::arch::aarch64::*;

use half::bf16;

use super::Simd;

/// Proof that NEON may be used.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

impl Neon {
    /// # Safety
    /// The machine must have NEON.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Self(())
    }
}

impl Simd for Neon {
    type V = float32x4_t;
    const LANES: usize = 4;
    // 24 accumulators, two columns and one broadcast: 27 of 32 registers.
    const TILE_ROWS: usize = 12;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "neon")]
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
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_f32(to, v) }
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::V {
        let mut lanes = [0.0f32; 4];
        // SAFETY: the caller's promise; the array holds a vector.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count.min(4));
            vld1q_f32(lanes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, v: Self::V) {
        let mut lanes = [0.0f32; 4];
        // SAFETY: the caller's promise; the array holds a vector.
        unsafe {
            vst1q_f32(lanes.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count.min(4));
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn load_difference(self, sums: *const i32, offset: i32, columns: *const i32) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe { vcvtq_f32_s32(vmlsq_s32(vld1q_s32(sums), vdupq_n_s32(offset), vld1q_s32(columns))) }
    }

    // The prefetch intrinsic is not stable on this architecture; its hardware prefetchers follow a panel.
    #[inline(always)]
    fn prefetch(self, _at: *const f32) {}

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: the token is the proof.
        unsafe { vdupq_n_f32(x) }
    }

    vector_ops! {
        add(a, b) = vaddq_f32(a, b);
        sub(a, b) = vsubq_f32(a, b);
        mul(a, b) = vmulq_f32(a, b);
        div(a, b) = vdivq_f32(a, b);
        fma(a, b, c) = vfmaq_f32(c, a, b);
        min(a, b) = vbslq_f32(vcltq_f32(a, b), a, b);
        max(a, b) = vbslq_f32(vcgtq_f32(a, b), a, b);
        abs(a) = vabsq_f32(a);
        sqrt(a) = vsqrtq_f32(a);
        round(a) = vrndnq_f32(a);
        pow2(n) = {
            let exponent = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))
        };
        select_lt(a, b, yes, no) = vbslq_f32(vcltq_f32(a, b), yes, no);
    }
}
