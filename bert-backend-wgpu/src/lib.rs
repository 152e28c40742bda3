//! The GPU backend: WGSL kernels on Vulkan, Metal, DX12, and WebGPU in a browser.
//!
//! It needs a graphics adapter, so this example is compiled and not run:
//!
//! ```no_run
//! use bert_backend_wgpu::{WgpuBackend, WgpuOptions};
//! use bert_core::{Backend, tensor::HostTensor};
//!
//! # pollster::block_on(async {
//! let backend = WgpuBackend::new(&WgpuOptions::default()).await?;
//! let a = backend.upload(&HostTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2]))?;
//! let product = backend.matmul(&a, &a)?;
//! let host = backend.download(&[product]).await?;
//! assert_eq!(host[0].as_slice(), Some(&[7.0f32, 10.0, 15.0, 22.0][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! From the outside in:
//! * `adapter` lists and chooses adapters; `backend` maps the words of [`Backend`](bert_core::Backend) to
//!   kernels, `gemm` those that are products;
//! * `gpu` records kernels and submits them together when somebody waits, `transfer` moves tensors, `buffer`
//!   recycles memory;
//! * `kernel` puts together and compiles what lies in `shaders`.
//!
//! What is computed for a row does not depend on how many other rows there are: on one device a text gives
//! the same bits alone and in a batch.

mod ability;
mod adapter;
mod backend;
mod buffer;
mod cache;
mod error;
mod gemm;
mod gpu;
mod health;
mod kernel;
mod params;
#[cfg(test)]
mod tests;
mod transfer;

pub use adapter::{AdapterChoice, AdapterDescription, AdapterKind, WgpuOptions, adapters};
pub use backend::WgpuBackend;
pub use buffer::WgpuBuffer;
pub use error::WgpuError;
/// For [`WgpuOptions::limits`].
pub use wgpu::Limits;

/// The backend's name, as in `--device`.
const NAME: &str = "wgpu";

/// The examples of README.md are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
