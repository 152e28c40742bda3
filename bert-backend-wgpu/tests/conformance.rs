//! The conformance suite within the limits of every device, as far as it takes seconds on an adapter in software. `cargo
//! xtask conformance --backend wgpu` runs all of it.

use bert_backend_wgpu::{Limits, WgpuBackend, WgpuError, WgpuOptions};
use bert_conformance::{Mode, Plan, assert_conforms_to};

#[test]
fn every_operation_is_right() {
    let options = WgpuOptions { limits: Some(Limits::defaults()), ..WgpuOptions::default() };
    let backend = match pollster::block_on(WgpuBackend::new(&options)) {
        Ok(backend) => backend,
        Err(error @ WgpuError::NoAdapter) => {
            eprintln!("SKIPPED the conformance suite on wgpu: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let modes = vec![Mode::Ops, Mode::Fused];
    let plan = Plan { modes, most_work: 10_000, ..Plan::from_environment() };
    assert_conforms_to(&plan, "wgpu", &backend);
}
