//! The CPU backend: SIMD kernels chosen at run time (AVX-512, AVX2, NEON, portable) and one thread pool.
//!
//! ```
//! use bert_backend_cpu::{CpuBackend, CpuOptions};
//! use bert_core::{Backend, tensor::HostTensor};
//!
//! let backend = CpuBackend::new(CpuOptions::default())?;
//! let a = backend.upload(&HostTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2]))?;
//! let product = backend.matmul(&a, &a)?;
//! let host = pollster::block_on(backend.download(&[product]))?;
//! assert_eq!(host[0].as_slice(), Some(&[7.0f32, 10.0, 15.0, 22.0][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! From the outside in:
//! * `backend` maps the words of [`Backend`](bert_core::Backend) to kernels, and `train` those of
//!   [`TrainBackend`](bert_core::train::TrainBackend); `products` cuts those that are products into tasks;
//! * `cpu` is what both work with: `pool` runs tasks on threads, `memory` recycles what they write into;
//! * `cache` keeps packed weights from one start to the next;
//! * `kernels` are loops over slices, written once over the vector type of `simd`.
//!
//! A result depends on the instruction set, but neither on the number of threads nor on what else is in the
//! batch: each number is computed by the same operations in the same order.

mod backend;
mod buffer;
mod cache;
mod cpu;
mod error;
mod kernels;
mod level;
pub mod limits;
mod memory;
mod options;
mod products;
mod simd;
#[cfg(test)]
mod tests;
mod thread_pool;
mod train;

pub use backend::CpuBackend;
pub use buffer::CpuBuffer;
pub use error::CpuError;
pub use level::SimdLevel;
pub use options::CpuOptions;
pub use thread_pool::MAX_THREADS;

/// The examples of README.md are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
