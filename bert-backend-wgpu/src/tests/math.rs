//! The functions that WGSL lacks or leaves inexact, alone.

use bert_core::Backend;
use bert_core::contract::UnaryOp;
use bert_core::tensor::HostTensor;

use super::{backend, numbers};

/// The largest error over `from..to`, absolute or as a part of the result, whichever is smaller.
fn worst(op: UnaryOp, (from, to): (f64, f64), exact: fn(f64) -> f64) -> Option<f64> {
    const COUNT: usize = 20_000;
    let backend = backend()?;
    let x: Vec<f32> = (0..COUNT).map(|i| (from + (to - from) * i as f64 / COUNT as f64) as f32).collect();
    let tensor = backend.upload(&HostTensor::from_vec(x.clone(), [COUNT])).unwrap();
    let found = numbers(&backend, &backend.map(op, &tensor).unwrap());
    let errors = found.iter().zip(x).map(|(found, x)| {
        let expected = exact(f64::from(x));
        (found - expected).abs() / expected.abs().max(1.0)
    });
    Some(errors.fold(0.0, f64::max))
}

#[track_caller]
fn within(bound: f64, op: UnaryOp, range: (f64, f64), exact: fn(f64) -> f64) {
    if let Some(error) = worst(op, range, exact) {
        assert!(error <= bound, "{op:?} over {range:?}: error {error:e}");
    }
}

#[test]
fn gelu_by_the_error_function() {
    let exact = |x: f64| 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2));
    within(4e-7, UnaryOp::Gelu, (-6.0, 6.0), exact);
    within(4e-7, UnaryOp::Gelu, (-100.0, 100.0), exact);
}

#[test]
fn gelu_by_tanh() {
    let exact =
        |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
    within(3e-7, UnaryOp::GeluTanh, (-12.0, 12.0), exact);
}

#[test]
fn exp_over_its_whole_range() {
    within(3e-7, UnaryOp::Exp, (-110.0, 88.7), f64::exp);
    within(2e-7, UnaryOp::Exp, (-1.0, 1.0), f64::exp);
}

#[test]
fn tanh_and_sigmoid() {
    within(3e-7, UnaryOp::Tanh, (-1.0, 1.0), f64::tanh);
    within(3e-7, UnaryOp::Tanh, (-30.0, 30.0), f64::tanh);
    within(3e-7, UnaryOp::Sigmoid, (-100.0, 100.0), |x| 1.0 / (1.0 + (-x).exp()));
}

#[test]
fn a_nan_stays_one() {
    let Some(backend) = backend() else { return };
    let x = backend.upload(&HostTensor::from_vec(vec![f32::NAN, -f32::NAN, 1.0], [3])).unwrap();
    for op in [UnaryOp::Exp, UnaryOp::Tanh, UnaryOp::Gelu, UnaryOp::GeluTanh, UnaryOp::Relu] {
        let found = numbers(&backend, &backend.map(op, &x).unwrap());
        assert!(found[0].is_nan() && found[1].is_nan() && !found[2].is_nan(), "{op:?}: {found:?}");
    }
    let largest = backend.reduce(bert_core::contract::ReduceOp::Max, &x).unwrap();
    assert!(numbers(&backend, &largest)[0].is_nan());
}
