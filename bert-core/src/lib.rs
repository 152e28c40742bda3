//! What a BERT is, and what a backend must do.
//!
//! This crate knows no hardware, no tokenizer and no task:
//! * [`tensor`] and [`packed`]: the data, on the host and on a device;
//! * [`backend`]: the [`Backend`] trait, eight methods and the coarse operations that follow from them;
//!   [`ops`] and [`weights`] are its words, [`mod@reference`] is its oracle,
//!   [`profile`] its clock, [`passes`] counts what whole passes cost, [`trace`] tells what is not overridden;
//! * [`random`]: numbers that depend on nothing but their place;
//! * [`config`] and [`checkpoint`]: model files;
//! * [`graph`]: the model itself.

#[cfg(target_endian = "big")]
compile_error!(
    "model files are little-endian and are read without a byte swap; big-endian targets are not supported"
);

pub mod backend;
pub mod checkpoint;
pub mod config;
mod error;
pub mod graph;
pub mod ops;
pub mod packed;
pub mod passes;
#[cfg(not(target_family = "wasm"))] // a browser gives no clock to std
pub mod profile;
pub mod random;
pub mod reference;
pub mod tensor;
pub mod trace;
pub mod weights;

pub use backend::Backend;
pub use config::ModelConfig;
pub use error::{Error, Result};
pub use graph::{Encoder, Head, Model, Output};
pub use packed::PackedBatch;
