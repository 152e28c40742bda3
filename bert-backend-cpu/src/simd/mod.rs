//! Vectors of `f32`, one type for each instruction set.
//!
//! Kernels are written once, as `#[inline(always)]` functions over a [`Simd`] token, and instantiated for
//! each instruction set inside a function that enables it (see [`dispatch!`]).
//! A token can only be made where its instructions may run, so the arithmetic on it is safe.

use half::bf16;

use crate::error::CpuError;
use crate::level::SimdLevel;

/// Methods that are one intrinsic each, or a short chain of them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! vector_ops {
    ($($name:ident($($arg:ident),*) = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: Self::V),*) -> Self::V {
            // SAFETY: the token is the proof that these instructions may run.
            unsafe { $body }
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use portable::Portable;

/// A [`SimdLevel`] that has been checked to run on this machine, and what the machine adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa {
    level: SimdLevel,
    vnni: bool,
    bf16: bool,
}

impl Isa {
    pub fn new(level: SimdLevel) -> Result<Self, CpuError> {
        if !level.is_available() {
            return Err(CpuError::SimdUnavailable { asked: level, best: SimdLevel::detect() });
        }
        #[cfg(target_arch = "x86_64")]
        let (vnni, bf16) = match level {
            SimdLevel::Avx512 => {
                let bf16 = is_x86_feature_detected!("avx512bf16") && !bf16_is_slow();
                (is_x86_feature_detected!("avx512vnni"), bf16)
            }
            _ => (false, false),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let (vnni, bf16) = (false, false);
        Ok(Self { level, vnni, bf16 })
    }

    pub fn level(self) -> SimdLevel {
        self.level
    }

    /// What the kernels make use of, by name.
    pub fn features(self) -> impl Iterator<Item = &'static str> {
        let extra = [(self.vnni, "VNNI"), (self.bf16, "BF16")];
        std::iter::once(self.level.name())
            .chain(extra.into_iter().filter(|&(has, _)| has).map(|(_, name)| name))
    }

    /// Whether products of bytes have an instruction of their own, AVX512-VNNI.
    pub fn has_vnni(self) -> bool {
        self.vnni
    }

    /// Whether products of bf16 have an instruction of their own, AVX512-BF16, that is faster than those of `f32`.
    pub fn has_bf16(self) -> bool {
        self.bf16
    }

    /// Lanes of a vector.
    pub fn lanes(self) -> usize {
        shape(self).0
    }

    /// Rows of a register tile.
    pub fn tile_rows(self) -> usize {
        shape(self).1
    }
}

/// Whether AVX512-BF16 is slower than products of `f32`, as it is on Intel's cores (Sapphire Rapids, 16 threads: 809
/// GFLOP/s against 1312), which have matrix units for bf16 instead.
#[cfg(target_arch = "x86_64")]
fn bf16_is_slow() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel"
}

/// Defines a function that runs a generic kernel with the instruction set it is told.
///
/// `fn name(args..) = kernel;` becomes `fn name(isa, args..)`, which calls `kernel(token, args..)` by
/// [`Simd::vectorize`]. The kernel and all that it calls must be
/// `#[inline(always)]`.
macro_rules! dispatch {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? = $kernel:path;) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(isa: $crate::simd::Isa, $($arg: $type),*) $(-> $out)? {
            use $crate::simd::*;
            match isa.level() {
                #[cfg(target_arch = "x86_64")]
                $crate::level::SimdLevel::Avx2 => {
                    // SAFETY: an `Isa` is only made for instructions that this machine has.
                    let s = unsafe { Avx2::new() };
                    s.vectorize(#[inline(always)] || $kernel(s, $($arg),*))
                }
                #[cfg(target_arch = "x86_64")]
                $crate::level::SimdLevel::Avx512 => {
                    // SAFETY: as above.
                    let s = unsafe { Avx512::new() };
                    s.vectorize(#[inline(always)] || $kernel(s, $($arg),*))
                }
                #[cfg(target_arch = "aarch64")]
                $crate::level::SimdLevel::Neon => {
                    // SAFETY: as above.
                    let s = unsafe { Neon::new() };
                    s.vectorize(#[inline(always)] || $kernel(s, $($arg),*))
                }
                _ => $kernel(Portable, $($arg),*),
            }
        }
    };
}
pub(crate) use dispatch;

dispatch! {
    /// `(LANES, TILE_ROWS)`
    fn shape() -> (usize, usize) = shape_of;
}

#[inline(always)]
fn shape_of<S: Simd>(_: S) -> (usize, usize) {
    (S::LANES, S::TILE_ROWS)
}

/// Proof that an instruction set may be used, and the operations it gives on vectors of `LANES` numbers.
///
/// `min`, `max` and `select_lt` compare as `<` does, so that a NaN in the *second* operand of `min` and
/// `max` goes through.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// A vector of `LANES` numbers.
    type V: Copy;
    /// Numbers in a vector.
    const LANES: usize;
    /// Rows of the register tile of a matrix product; it is two vectors wide.
    const TILE_ROWS: usize;

    /// Calls `f` as a function of its own that is compiled for these instructions. `f`, and all that it
    /// calls, must be `#[inline(always)]` to become a part of it.
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;

    /// # Safety
    /// `LANES` numbers must be readable at `from`.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// # Safety
    /// `LANES` numbers must be writable at `to`.
    unsafe fn store(self, to: *mut f32, v: Self::V);
    /// The first `count` numbers, zeros after them.
    /// # Safety
    /// `count <= LANES` numbers must be readable at `from`.
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::V;
    /// The first `count` lanes alone.
    /// # Safety
    /// `count <= LANES` numbers must be writable at `to`.
    unsafe fn store_first(self, to: *mut f32, count: usize, v: Self::V);
    /// Widens numbers; that is exact.
    /// # Safety
    /// `LANES` numbers must be readable at `from`.
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V;
    /// `sums[i] - offset * columns[i]`, computed in integers that wrap, and then rounded to `f32`.
    /// # Safety
    /// `LANES` numbers must be readable at `sums` and at `columns`.
    unsafe fn load_difference(self, sums: *const i32, offset: i32, columns: *const i32) -> Self::V;
    /// Writes `LANES` rows of `LANES` numbers as columns: number `j` of row `i` becomes number `i` of row `j`.
    /// # Safety
    /// Rows at these distances must be readable at `from` and writable at `to`.
    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        for row in 0..Self::LANES {
            for column in 0..Self::LANES {
                // SAFETY: the caller's promise.
                unsafe { *to.add(column * to_stride + row) = *from.add(row * from_stride + column) };
            }
        }
    }
    /// Asks for the cache line at an address, which need not be valid.
    fn prefetch(self, at: *const f32);

    fn splat(self, x: f32) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the hardware can.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a < b ? a : b`
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a > b ? a : b`
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn abs(self, a: Self::V) -> Self::V;
    fn sqrt(self, a: Self::V) -> Self::V;
    /// The nearest integer, halves to even.
    fn round(self, a: Self::V) -> Self::V;
    /// `2^n` of integral `n` in -126..=127; some number, or NaN, of any other `n`.
    fn pow2(self, n: Self::V) -> Self::V;
    /// `a < b ? yes : no`
    fn select_lt(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;

    /// The sum of all lanes, by halves.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        self.fold(v, |a, b| a + b)
    }

    /// The largest lane; NaN if there is one.
    #[inline(always)]
    fn largest(self, v: Self::V) -> f32 {
        self.fold(v, larger)
    }

    /// The smallest lane; NaN if there is one.
    #[inline(always)]
    fn smallest(self, v: Self::V) -> f32 {
        self.fold(v, smaller)
    }

    #[inline(always)]
    fn fold(self, v: Self::V, f: impl Fn(f32, f32) -> f32) -> f32 {
        let mut lanes = [0.0f32; 16];
        debug_assert!(Self::LANES <= lanes.len());
        // SAFETY: the array holds the lanes of the widest vector.
        unsafe { self.store(lanes.as_mut_ptr(), v) };
        let mut width = Self::LANES / 2;
        while width > 0 {
            for lane in 0..width {
                lanes[lane] = f(lanes[lane], lanes[lane + width]);
            }
            width /= 2;
        }
        lanes[0]
    }

    /// The vector at `at`, or what is left of the slice there, followed by zeros.
    #[inline(always)]
    fn read(self, from: &[f32], at: usize) -> Self::V {
        let rest = &from[at..];
        // SAFETY: the length is checked.
        unsafe {
            match rest.len() >= Self::LANES {
                true => self.load(rest.as_ptr()),
                false => self.load_first(rest.as_ptr(), rest.len()),
            }
        }
    }

    /// Writes a vector at `at`, or as much of it as the slice has room for.
    #[inline(always)]
    fn write(self, to: &mut [f32], at: usize, v: Self::V) {
        let rest = &mut to[at..];
        // SAFETY: the length is checked.
        unsafe {
            match rest.len() >= Self::LANES {
                true => self.store(rest.as_mut_ptr(), v),
                false => self.store_first(rest.as_mut_ptr(), rest.len(), v),
            }
        }
    }
}

/// The larger of two numbers, NaN if either is.
#[inline(always)]
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// The smaller of two numbers, NaN if either is.
#[inline(always)]
pub(crate) fn smaller(a: f32, b: f32) -> f32 {
    if a < b || a.is_nan() { a } else { b }
}
