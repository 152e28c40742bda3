//! What a BERT is, and what a backend must do.
//!
//! This crate knows no hardware, no tokenizer and no task:
//! * [`tensor`] and [`packed`]: the data, on the host and on a device;
//! * [`contract`]: the [`Backend`] trait, eight methods and the coarse operations that follow from them, with all
//!   that they take and give; [`mod@reference`] is its oracle;
//! * [`config`] and [`checkpoint`]: model files;
//! * [`graph`]: the model itself;
//! * [`train`]: gradients on any backend, losses, optimisers;
//! * [`observe`]: ways to look at a run: its times, its passes, what is not overridden;
//! * [`random`]: numbers that depend on nothing but their place.

#[cfg(target_endian = "big")]
compile_error!(
    "model files are little-endian and are read without a byte swap; big-endian targets are not supported"
);

pub mod checkpoint;
pub mod config;
pub mod contract;
mod error;
pub mod graph;
pub mod observe;
pub mod packed;
pub mod random;
pub mod reference;
pub mod tensor;
pub mod train;

pub use config::ModelConfig;
pub use contract::Backend;
pub use error::{Error, Result};
pub use graph::{Encoder, Head, Model, Output};
pub use packed::PackedBatch;

/// The examples of README.md are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
