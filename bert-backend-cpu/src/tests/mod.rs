//! Every operation against the `f64` reference, on every instruction set of this machine, with guard bands
//! around every output (see [`memory`](crate::memory)) and for several numbers of threads.

mod cache;
mod fused;
mod low;
mod math;
mod ops;
mod train;

use bert_core::Backend;
use bert_core::contract::{Precision, Tensor};
use bert_core::reference::Reference;
use bert_core::tensor::{DType, HostTensor, Shape};
use bert_core::train::TrainBackend;

use crate::{CpuBackend, CpuOptions, SimdLevel};

/// Sizes around the widths of vectors, tiles, panels and blocks.
const SIZES: [usize; 9] = [1, 3, 8, 17, 33, 63, 64, 65, 257];

/// A backend for each instruction set of this machine, and for one and for several threads; only those that
/// `BERT_SIMD` and `BERT_THREADS` name where they are set, as under an emulator, which is slow.
fn backends() -> Vec<CpuBackend> {
    let set = |name| std::env::var_os(name).is_some();
    let threads = if set("BERT_THREADS") { vec![None] } else { vec![Some(1), Some(3)] };
    let levels = match set("BERT_SIMD") {
        true => vec![None],
        false => SimdLevel::available().map(Some).collect(),
    };
    let options =
        levels.iter().flat_map(|&simd| threads.iter().map(move |&threads| CpuOptions { threads, simd }));
    options.map(|options| CpuBackend::new(options).expect("available")).collect()
}

/// Numbers that repeat from run to run.
struct Random(fastrand::Rng);

impl Random {
    fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// In `-1..1`
    fn number(&mut self) -> f32 {
        2.0 * self.0.f32() - 1.0
    }

    fn tensor(&mut self, shape: impl Into<Shape>) -> HostTensor {
        let shape = shape.into();
        HostTensor::from_vec((0..shape.elements()).map(|_| self.number()).collect(), shape)
    }

    /// Numbers in `mean - spread .. mean + spread`
    fn around(&mut self, mean: f32, spread: f32, shape: impl Into<Shape>) -> HostTensor {
        let shape = shape.into();
        let values = (0..shape.elements()).map(|_| mean + spread * self.number()).collect();
        HostTensor::from_vec(values, shape)
    }
}

fn download<B: Backend>(backend: &B, tensor: &Tensor<B>) -> HostTensor {
    pollster::block_on(backend.download(std::slice::from_ref(tensor))).expect("a download").remove(0)
}

/// How far a result may be from the reference.
#[derive(Clone, Copy)]
enum Bound {
    /// As a part of the largest magnitude in the same row of the result.
    OfRow(f64),
    /// The same, or as a difference where the row is smaller than 1: its summands may have cancelled.
    OfRowOrOne(f64),
}
use Bound::{OfRow, OfRowOrOne};

/// What the operation `op` gives on every backend of this machine: within `bound` of the reference, and the
/// same bits for any number of threads.
fn compare(name: &str, bound: Bound, inputs: &[HostTensor], op: impl Operation) {
    let (tolerance, least) = match bound {
        OfRow(tolerance) => (tolerance, 1e-30),
        OfRowOrOne(tolerance) => (tolerance, 1.0),
    };
    let expected = run(&Reference, inputs, &op);
    let expected_values = expected.to_f64().expect("floats");
    let row = expected.shape().last().copied().unwrap_or(1);
    let mut before: Option<(SimdLevel, Vec<u8>)> = None;
    for backend in backends() {
        let found = run(&backend, inputs, &op);
        assert_eq!(found.shape(), expected.shape(), "{name} on {backend:?}");
        let found_values = found.to_f64().expect("floats");
        let (expected, values): (Vec<_>, Vec<_>) =
            (expected_values.iter().copied().collect(), found_values.iter().copied().collect());
        for (index, (expected, values)) in expected.chunks(row).zip(values.chunks(row)).enumerate() {
            let scale = expected.iter().fold(least, |largest: f64, x| largest.max(x.abs()));
            for (column, (expected, value)) in expected.iter().zip(values).enumerate() {
                let error = (expected - value).abs() / scale;
                assert!(
                    error <= tolerance,
                    "{name} on {backend:?}: {value} for {expected} at row {index}, column {column}; \
                     error {error:e} of the row's largest"
                );
            }
        }
        let bits = found.bytes().to_vec();
        if let Some((level, before)) = &before
            && *level == backend.simd()
        {
            assert!(*before == bits, "{name} on {backend:?}: other bits than with one thread");
        }
        before = Some((backend.simd(), bits));
    }
}

fn run<B: TrainBackend>(backend: &B, inputs: &[HostTensor], op: &impl Operation) -> HostTensor {
    let inputs: Vec<_> = inputs.iter().map(|x| backend.upload(x).expect("an upload")).collect();
    download(backend, &op.run(backend, &inputs))
}

/// An operation on any backend. A closure cannot be generic over it.
trait Operation {
    fn run<B: TrainBackend>(&self, backend: &B, inputs: &[Tensor<B>]) -> Tensor<B>;
}

/// Defines an [`Operation`] in place: `operation!(|backend, inputs| expression; name: Type = value, …)`.
macro_rules! operation {
    (|$backend:ident, $inputs:ident| $body:expr $(; $($name:ident: $type:ty),*)?) => {{
        struct Op { $($($name: $type),*)? }
        impl $crate::tests::Operation for Op {
            fn run<B: bert_core::train::TrainBackend>(
                &self,
                $backend: &B,
                $inputs: &[bert_core::contract::Tensor<B>],
            ) -> bert_core::contract::Tensor<B> {
                $($(let $name = self.$name;)*)?
                $body.expect("the operation")
            }
        }
        Op { $($($name),*)? }
    }};
}
use operation;

#[test]
fn backends_say_what_they_are() {
    for backend in backends() {
        let info = backend.info();
        assert_eq!(info.name, "cpu");
        assert_eq!(info.threads, Some(backend.threads()));
        assert_eq!(info.features[0], backend.simd().to_string());
        assert_eq!(info.precisions, [Precision::F32, Precision::Bf16, Precision::Int8]);
        assert!(!info.device.is_empty());
    }
}

#[test]
fn options_that_mean_nothing_are_refused() {
    for threads in [0, crate::MAX_THREADS + 1] {
        let error = CpuBackend::new(CpuOptions { threads: Some(threads), simd: None }).unwrap_err();
        assert!(error.to_string().contains(&threads.to_string()), "{error}");
    }
    for level in SimdLevel::ALL.into_iter().filter(|level| !level.is_available()) {
        let error = CpuBackend::new(CpuOptions { threads: Some(1), simd: Some(level) }).unwrap_err();
        assert!(error.to_string().contains(&level.to_string()), "{error}");
    }
    assert!("sse9".parse::<SimdLevel>().is_err());
}

#[test]
fn uploads_are_read_from_any_address_and_float_type() {
    use std::sync::Arc;
    let numbers: Vec<f32> = (0..9).map(|i| i as f32 * 0.5 - 2.0).collect();
    let mut bytes = vec![0u8];
    bytes.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
    let length = bytes.len();
    let odd = HostTensor::from_source(Arc::new(bytes), 1..length, DType::F32, [3, 3]).unwrap();
    let halves = HostTensor::from_vec(numbers.iter().map(|&x| half::f16::from_f32(x)).collect(), [3, 3]);
    let doubles = HostTensor::from_vec(numbers.iter().map(|&x| f64::from(x)).collect(), [3, 3]);
    let backend = CpuBackend::new(CpuOptions::default()).unwrap();
    for tensor in [&odd, &halves, &doubles] {
        let back = download(&backend, &backend.upload(tensor).unwrap());
        assert_eq!(back.as_slice(), Some(&numbers[..]), "{tensor:?}");
    }
    let mut bytes = vec![0u8];
    bytes.extend([7u32, 9].iter().flat_map(|x| x.to_le_bytes()));
    let odd = HostTensor::from_source(Arc::new(bytes), 1..9, DType::U32, [2]).unwrap();
    assert_eq!(download(&backend, &backend.upload(&odd).unwrap()).as_slice(), Some(&[7u32, 9][..]));
    let ids = HostTensor::from_vec(vec![1i64], [1]);
    assert!(backend.upload(&ids).unwrap_err().to_string().contains("i64"));
}
