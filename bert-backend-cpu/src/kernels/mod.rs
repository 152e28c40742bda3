//! The kernels: loops over slices and pointers, written once for all instruction sets.

pub(crate) mod attention;
pub(crate) mod elementwise;
pub(crate) mod gemm;
pub(crate) mod math;
pub(crate) mod norm;
pub(crate) mod pack;
pub(crate) mod rows;

/// Defines a function that runs a generic kernel with the instruction set it is told.
///
/// `fn name(args..) = kernel;` becomes `fn name(isa, args..)`, which calls `kernel(token, args..)` inside a
/// function that enables the instructions of the token. The kernel and all that it calls must be
/// `#[inline(always)]`, so that it is compiled as a part of that function.
macro_rules! dispatch {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? = $kernel:path;) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(isa: $crate::simd::Isa, $($arg: $type),*) $(-> $out)? {
            use $crate::simd::*;
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $out)? {
                // SAFETY: this function runs only where its instructions do.
                $kernel(unsafe { Avx2::new() }, $($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            fn avx512($($arg: $type),*) $(-> $out)? {
                // SAFETY: this function runs only where its instructions do.
                $kernel(unsafe { Avx512::new() }, $($arg),*)
            }
            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon")]
            fn neon($($arg: $type),*) $(-> $out)? {
                // SAFETY: this function runs only where its instructions do.
                $kernel(unsafe { Neon::new() }, $($arg),*)
            }
            // SAFETY: an `Isa` is only made for instructions that this machine has.
            #[allow(unused_unsafe)]
            unsafe {
                match isa.level() {
                    #[cfg(target_arch = "x86_64")]
                    SimdLevel::Avx2 => avx2($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    SimdLevel::Avx512 => avx512($($arg),*),
                    #[cfg(target_arch = "aarch64")]
                    SimdLevel::Neon => neon($($arg),*),
                    _ => $kernel(Portable, $($arg),*),
                }
            }
        }
    };
}
pub(crate) use dispatch;
