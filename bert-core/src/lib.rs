//! What a BERT is, and what a backend must do.
//!
//! This crate knows no hardware, no tokenizer and no task. It holds the [`tensor`] vocabulary that the
//! host and the backends share and the readers of model files ([`checkpoint`]).

#[cfg(target_endian = "big")]
compile_error!(
    "model files are little-endian and are read without a byte swap; big-endian targets are not supported"
);

pub mod checkpoint;
mod error;
pub mod tensor;

pub use error::{Error, Result};
