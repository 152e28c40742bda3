//! The kernels against the `f64` reference, on whatever adapter this machine has, within the limits of every
//! device. A machine without an adapter skips them and says so. `cargo xtask conformance --backend wgpu` tries
//! many more shapes; here is what only this crate can see.

mod ability;
mod int8;
mod limits;
mod math;
mod model;

use bert_core::Backend;
use bert_core::contract::{DeviceBatch, Tensor};
use bert_core::tensor::{HostTensor, Shape};

use crate::{AdapterChoice, Limits, WgpuBackend, WgpuError, WgpuOptions};

/// A backend that keeps to these limits; `None`, said loudly, where there is no adapter.
fn backend_within(limits: Limits) -> Option<WgpuBackend> {
    backend_with(WgpuOptions { limits: Some(limits), ..WgpuOptions::default() })
}

fn backend_with(options: WgpuOptions) -> Option<WgpuBackend> {
    match pollster::block_on(WgpuBackend::new(&options)) {
        Ok(backend) => Some(backend),
        Err(error @ WgpuError::NoAdapter) => {
            eprintln!("SKIPPED a test of the wgpu backend: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn backend() -> Option<WgpuBackend> {
    backend_within(Limits::defaults())
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
}

fn download<B: Backend>(backend: &B, tensor: &Tensor<B>) -> HostTensor {
    pollster::block_on(backend.download(std::slice::from_ref(tensor))).expect("a download").remove(0)
}

fn numbers<B: Backend>(backend: &B, tensor: &Tensor<B>) -> Vec<f64> {
    download(backend, tensor).to_f64().expect("floats").iter().copied().collect()
}

fn assert_close(name: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(1f64, |largest, x| largest.max(x.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs() / scale;
        assert!(error <= tolerance, "{name}: {found} for {expected} at {index}; error {error:e}");
    }
}

/// Sequences of these lengths; ids below 23 and segments below 2.
fn batch<B: Backend>(backend: &B, lengths: &[usize]) -> DeviceBatch<B::Buffer> {
    let tokens: usize = lengths.iter().sum();
    let upload = |values: Vec<u32>| {
        let length = values.len();
        backend.upload(&HostTensor::from_vec(values, [length])).expect("an upload")
    };
    let mut bounds = vec![0u32];
    let mut positions = vec![];
    for &length in lengths {
        positions.extend(0..length as u32);
        bounds.push(positions.len() as u32);
    }
    DeviceBatch {
        ids: upload((0..tokens).map(|i| (i * 7 % 23) as u32).collect()),
        segments: upload((0..tokens).map(|i| (i / 3 % 2) as u32).collect()),
        positions: upload(positions),
        device_bounds: upload(bounds.clone()),
        bounds: bounds.into(),
        marked: None,
    }
}

#[test]
fn a_backend_says_what_it_is() {
    let Some(backend) = backend() else { return };
    let info = backend.info();
    assert_eq!((info.name, info.threads), ("wgpu", None));
    assert_eq!(info.device, backend.adapter().name);
    let software = backend.adapter().kind == crate::AdapterKind::Software;
    assert_eq!(info.features.iter().any(|feature| feature.contains("software")), software);
}

#[test]
fn adapters_are_chosen_by_number_or_by_worth() {
    let all = pollster::block_on(crate::adapters());
    assert!(all.is_sorted_by_key(|adapter| adapter.kind));
    assert!(all.iter().enumerate().all(|(index, adapter)| adapter.index == index));
    let open =
        |adapter| pollster::block_on(WgpuBackend::new(&WgpuOptions { adapter, ..WgpuOptions::default() }));
    let Some(best) = all.first() else {
        assert!(matches!(open(AdapterChoice::Best), Err(WgpuError::NoAdapter)));
        eprintln!("SKIPPED the choice of an adapter: there is not one");
        return;
    };
    let error = open(AdapterChoice::Index(all.len())).unwrap_err();
    assert!(matches!(error, WgpuError::AdapterIndex { asked, .. } if asked == all.len()), "{error}");
    assert!(error.to_string().contains(&best.name), "{error}");
    assert_eq!(open(AdapterChoice::Index(0)).unwrap().adapter(), best);
    match open(AdapterChoice::Hardware) {
        Ok(backend) => assert_ne!(backend.adapter().kind, crate::AdapterKind::Software),
        Err(error) => {
            assert!(matches!(error, WgpuError::OnlySoftware { .. }), "{error}");
            assert_eq!(best.kind, crate::AdapterKind::Software);
        }
    }
}

#[test]
fn a_lost_device_is_an_error_everywhere() {
    let Some(backend) = backend() else { return };
    let x = backend.upload(&HostTensor::from_vec(vec![1.0f32; 64], [8, 8])).unwrap();
    let y = backend.matmul(&x, &x).unwrap();
    backend.lose();
    let error = pollster::block_on(backend.download(&[y])).unwrap_err();
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(cause.contains("lost"), "{cause}");
    assert!(backend.matmul(&x, &x).is_err());
    assert!(backend.upload(&HostTensor::from_vec(vec![1.0f32], [1])).is_err());
    assert!(pollster::block_on(backend.sync()).is_err());
}

#[test]
fn uploads_are_read_from_any_address_and_float_type() {
    let Some(backend) = backend() else { return };
    let values: Vec<f32> = (0..9).map(|i| i as f32 * 0.5 - 2.0).collect();
    let halves = HostTensor::from_vec(values.iter().map(|&x| half::f16::from_f32(x)).collect(), [3, 3]);
    let doubles = HostTensor::from_vec(values.iter().map(|&x| f64::from(x)).collect(), [3, 3]);
    let mut bytes = vec![0u8];
    bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
    let length = bytes.len();
    let source = std::sync::Arc::new(bytes);
    let odd = HostTensor::from_source(source, 1..length, bert_core::tensor::DType::F32, [3, 3]).unwrap();
    for tensor in [&odd, &halves, &doubles] {
        let back = download(&backend, &backend.upload(tensor).unwrap());
        assert_eq!(back.as_slice(), Some(&values[..]), "{tensor:?}");
    }
    let ids = HostTensor::from_vec(vec![1i64], [1]);
    assert!(backend.upload(&ids).unwrap_err().to_string().contains("i64"));
}

#[test]
fn what_is_recorded_reads_what_was_there_when_it_was_recorded() {
    let Some(backend) = backend() else { return };
    // An upload reaches the device before what is recorded: it must not land in memory that a recorded
    // kernel still reads, even if nobody else does any more.
    let of = |value: f32| backend.upload(&HostTensor::from_vec(vec![value; 1000], [1000])).unwrap();
    let mut sums = vec![];
    for round in 0..20 {
        let a = of(round as f32);
        let b = of(100.0);
        sums.push(backend.zip(bert_core::contract::BinaryOp::Add, &a, &b).unwrap());
    }
    for (round, sum) in pollster::block_on(backend.download(&sums)).unwrap().iter().enumerate() {
        assert_eq!(sum.as_slice(), Some(&vec![round as f32 + 100.0; 1000][..]));
    }
}
