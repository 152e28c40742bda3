//! All tests of the server, as one program.

mod access;
mod clients;
mod common;
mod invariance;
mod mutated;
mod own;
mod page;
mod wire;
