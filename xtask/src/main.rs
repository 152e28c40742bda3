//! Conformance across backends, benches, models and data for tests.

fn main() {}
