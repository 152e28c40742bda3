//! The conformance suite on each instruction set of this machine, as far as it takes seconds. `cargo xtask conformance
//! --backend cpu` runs all of it.

use bert_backend_cpu::{CpuBackend, CpuOptions, SimdLevel};
use bert_conformance::{Mode, Plan, assert_conforms_to};

#[test]
fn every_operation_is_right() {
    let modes = vec![Mode::Ops, Mode::Fused];
    let plan = Plan { modes, most_work: 30_000, ..Plan::from_environment() };
    for level in SimdLevel::available() {
        let backend = CpuBackend::new(CpuOptions { simd: Some(level), threads: None }).unwrap();
        assert_conforms_to(&plan, &format!("cpu:{level:?}").to_lowercase(), &backend);
    }
}
