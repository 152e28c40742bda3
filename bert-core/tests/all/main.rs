//! All tests that use the crate from outside, as one program: linking one is quicker than linking seven.

mod adapters;
mod backend_profile;
mod checkpoint;
mod gradients;
mod graph_golden;
mod parameters;
mod tensor;
