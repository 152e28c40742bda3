//! The kernels: loops over slices and pointers, written once for all instruction sets.

pub(crate) mod attention;
pub(crate) mod dot;
pub(crate) mod elementwise;
pub(crate) mod epilogue;
pub(crate) mod gemm;
pub(crate) mod low;
pub(crate) mod math;
pub(crate) mod norm;
pub(crate) mod pack;
pub(crate) mod quantise;
pub(crate) mod rows;

/// Defines a function that runs a generic kernel with the instruction set it is told.
///
/// `fn name(args..) = kernel;` becomes `fn name(isa, args..)`, which calls `kernel(token, args..)` by
/// [`Simd::vectorize`](crate::simd::Simd::vectorize). The kernel and all that it calls must be
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
