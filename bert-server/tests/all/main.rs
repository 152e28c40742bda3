//! All tests of the server, as one program.

mod access;
mod clients;
mod common;
mod invariance;
mod lines;
mod mutated;
mod own;
mod packed;
mod page;
mod reload;
#[cfg(feature = "tls")]
mod tls;
mod wire;
