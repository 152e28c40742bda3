//! The CPU backend: SIMD kernels chosen at run time (AVX-512, AVX2, NEON, portable) and one thread pool.
