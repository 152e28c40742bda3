//! The elementary functions, on a dense range and at its ends, against `f64`.

use bert_core::Backend;
use bert_core::contract::UnaryOp;
use bert_core::tensor::HostTensor;

use super::{backends, download};
use crate::kernels::norm;
use crate::simd::Isa;

/// Numbers of every magnitude, both signs, and both ends.
fn numbers(limit: f32) -> Vec<f32> {
    let mut numbers = vec![0.0, -0.0, limit, -limit, f32::MIN_POSITIVE, 1e-40];
    for i in 0..40_000 {
        let x = limit * (i as f32 / 40_000.0);
        numbers.extend([x, -x]);
    }
    for i in 0..4_000 {
        let x = (f32::MIN_POSITIVE.ln() * (i as f32 / 4_000.0)).exp();
        numbers.extend([x, -x]);
    }
    numbers.retain(|x| x.abs() <= limit);
    numbers
}

/// The largest `error(x, found)` over `numbers`, on each backend.
fn check(op: UnaryOp, numbers: &[f32], bound: f64, error: impl Fn(f64, f64) -> f64) {
    for backend in backends() {
        let x = backend.upload(&HostTensor::from_vec(numbers.to_vec(), [numbers.len()])).unwrap();
        let y = download(&backend, &backend.map(op, &x).unwrap());
        for (&x, &y) in numbers.iter().zip(y.as_slice::<f32>().unwrap()) {
            let error = error(f64::from(x), f64::from(y));
            assert!(error <= bound, "{op:?}({x}) = {y} on {backend:?}: error {error:e}, bound {bound:e}");
        }
    }
}

fn relative(f: impl Fn(f64) -> f64) -> impl Fn(f64, f64) -> f64 {
    // Below the smallest normal number the distance between numbers does not shrink any more.
    move |x, y| (f(x) - y).abs() / f(x).abs().max(f64::from(f32::MIN_POSITIVE))
}

fn absolute(f: impl Fn(f64) -> f64) -> impl Fn(f64, f64) -> f64 {
    move |x, y| (f(x) - y).abs() / x.abs().max(1.0)
}

const ULP: f64 = f32::EPSILON as f64;

#[test]
fn exp() {
    check(UnaryOp::Exp, &numbers(88.7), 1.5 * ULP, relative(f64::exp));
    check(
        UnaryOp::Exp,
        &[88.73, 1e3, 1e30, f32::INFINITY],
        0.0,
        |_, y| if y == f64::INFINITY { 0.0 } else { 1.0 },
    );
    check(UnaryOp::Exp, &[-105.0, -1e30, f32::NEG_INFINITY], 0.0, |_, y| y);
}

/// The exponentials of a softmax, in rows whose largest number is 0.
#[test]
fn exp_of_negative() {
    const LENGTH: usize = 61;
    for backend in backends() {
        let isa = Isa::new(backend.simd()).unwrap();
        for numbers in numbers(87.0).chunks(LENGTH - 1) {
            let row: Vec<f32> = std::iter::once(0.0).chain(numbers.iter().map(|x| -x.abs())).collect();
            let (mut found, mut sum) = (row.clone(), [0.0]);
            norm::softmax_numerators(isa, &mut found, row.len(), row.len(), 1.0, &mut sum);
            for (&x, &y) in row.iter().zip(&found) {
                let error = relative(f64::exp)(f64::from(x), f64::from(y));
                assert!(error <= 1.5 * ULP, "exp({x}) = {y} on {backend:?}: error {error:e}");
            }
        }
        let mut row = [0.0, -87.4, -104.0, -1e30, f32::NEG_INFINITY, -200.0, -1e9, -3e38, -90.0];
        let length = row.len();
        norm::softmax_numerators(isa, &mut row, length, length, 1.0, &mut [0.0]);
        assert_eq!(row, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], "on {backend:?}");
        let mut row = [f32::NAN; 19];
        norm::softmax_numerators(isa, &mut row, 19, 19, 1.0, &mut [0.0]);
        assert!(row.iter().all(|y| y.is_nan()), "on {backend:?}");
    }
}

#[test]
fn tanh() {
    check(UnaryOp::Tanh, &numbers(30.0), 2.0 * ULP, relative(f64::tanh));
    check(UnaryOp::Tanh, &[1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY], 0.0, |x, y| {
        (x.signum() - y).abs()
    });
}

#[test]
fn sigmoid() {
    check(UnaryOp::Sigmoid, &numbers(87.0), 3.0 * ULP, relative(|x| 1.0 / (1.0 + (-x).exp())));
    check(UnaryOp::Sigmoid, &[-1e30, f32::NEG_INFINITY], 1e-38, |_, y| y);
    check(UnaryOp::Sigmoid, &[1e30, f32::INFINITY], 0.0, |_, y| 1.0 - y);
}

#[test]
fn gelu() {
    let exact = |x: f64| 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
    check(UnaryOp::Gelu, &numbers(40.0), 4e-7, absolute(exact));
    check(UnaryOp::Gelu, &[1e30, -1e30, f32::MAX, f32::INFINITY], 1e-29, |x, y| {
        if y == x.max(0.0) { 0.0 } else { y.abs() }
    });
}

#[test]
fn gelu_tanh() {
    let exact = |x: f64| {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
        x / (1.0 + (-2.0 * inner).exp())
    };
    check(UnaryOp::GeluTanh, &numbers(40.0), 3e-7, absolute(exact));
    check(UnaryOp::GeluTanh, &[1e30, -1e30], 0.0, |x, y| (x.max(0.0) - y).abs());
}

#[test]
fn a_nan_stays_one() {
    let ops = [
        UnaryOp::Exp,
        UnaryOp::Log,
        UnaryOp::Sqrt,
        UnaryOp::Tanh,
        UnaryOp::Sigmoid,
        UnaryOp::Relu,
        UnaryOp::Gelu,
        UnaryOp::GeluTanh,
    ];
    for op in ops {
        check(op, &[f32::NAN; 19], 0.0, |_, y| if y.is_nan() { 0.0 } else { 1.0 });
    }
}
