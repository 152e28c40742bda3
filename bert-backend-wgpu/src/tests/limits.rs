//! Devices that can do less than this one.

use bert_core::Backend;
use bert_core::contract::{Activation, EmbeddingTables, LayerNorm, Linear, Precision, UnaryOp};
use bert_core::reference::Reference;
use bert_core::tensor::{DType, HostTensor, View};

use super::{Random, assert_close, backend, backend_within, batch, download, numbers};
use crate::{Limits, WgpuBackend, WgpuError, WgpuOptions};

/// Buffers of 16 KiB: any real table is larger.
fn small_buffers() -> Limits {
    Limits { max_storage_buffer_binding_size: 16 << 10, ..Limits::defaults() }
}

#[test]
fn a_table_larger_than_a_binding_is_split_by_rows() {
    let Some(backend) = backend_within(small_buffers()) else { return };
    let mut random = Random::new(1);
    let table = random.tensor([301, 48]); // 58 KB: four parts
    let ids = HostTensor::from_vec((0..500u32).map(|i| i * 97 % 301).collect(), [500]);
    let few = HostTensor::from_vec((0..70u32).map(|i| i * 53 % 200).collect(), [70]);

    fn run<B: Backend>(backend: &B, table: &HostTensor, ids: &HostTensor, few: &HostTensor) -> Vec<Vec<f64>> {
        let table = backend.upload(table).unwrap();
        let (ids, few) = (backend.upload(ids).unwrap(), backend.upload(few).unwrap());
        let ids = ids.slice(0, 10..80).unwrap();
        let inside = table.slice(0, 90..290).unwrap().slice(1, 5..20).unwrap();
        [backend.gather_rows(&table, &ids), backend.gather_rows(&inside, &few)]
            .map(|rows| numbers(backend, &rows.unwrap()))
            .to_vec()
    }
    assert_eq!(run(&backend, &table, &ids, &few), run(&Reference, &table, &ids, &few));

    // Back and forth, whole and in part.
    let device = backend.upload(&table).unwrap();
    assert_eq!(download(&backend, &device).bytes(), table.bytes());
    let part = device.slice(0, 70..180).unwrap();
    assert_eq!(download(&backend, &part).bytes(), &table.bytes()[70 * 48 * 4..180 * 48 * 4]);
    // What has to see a tensor at once says so.
    assert!(backend.map(UnaryOp::Copy, &device).is_err());
}

#[test]
fn embeddings_and_decoders_in_parts_are_right() {
    let Some(backend) = backend_within(small_buffers()) else { return };
    let mut random = Random::new(2);
    let tables = [
        random.tensor([300, 40]),
        random.tensor([64, 40]),
        random.tensor([2, 40]),
        random.tensor([40]),
        random.tensor([40]),
    ];
    let decoder = random.tensor([300, 40]);
    let bias = random.tensor([300]);

    fn run<B: Backend>(
        backend: &B,
        x: &[HostTensor],
        decoder: &HostTensor,
        bias: &HostTensor,
    ) -> [Vec<f64>; 2] {
        let x: Vec<_> = x.iter().map(|x| backend.upload(x).unwrap()).collect();
        let tables = EmbeddingTables {
            word: x[0].clone(),
            position: x[1].clone(),
            token_type: Some(x[2].clone()),
            norm: LayerNorm { weight: x[3].clone(), bias: x[4].clone(), eps: 1e-12 },
        };
        let hidden = backend.embed(&tables, &batch(backend, &[5, 1, 7])).unwrap();
        let decoder = Linear::new(backend, decoder, Some(bias), Precision::F32).unwrap();
        let logits = backend.linear(&hidden, &decoder, Activation::Gelu).unwrap();
        [numbers(backend, &hidden), numbers(backend, &logits)]
    }
    let found = run(&backend, &tables, &decoder, &bias);
    let expected = run(&Reference, &tables, &decoder, &bias);
    assert_close("embed", &found[0], &expected[0], 3e-6);
    assert_close("linear", &found[1], &expected[1], 3e-6);
}

#[test]
fn more_workgroups_than_a_dimension_holds_are_folded() {
    let limits = Limits { max_compute_workgroups_per_dimension: 16, ..Limits::defaults() };
    let Some(backend) = backend_within(limits) else { return };
    let mut random = Random::new(3);
    let (x, weight) = (random.tensor([100, 33]), random.tensor([200, 33]));

    fn run<B: Backend>(backend: &B, x: &HostTensor, weight: &HostTensor) -> Vec<f64> {
        let layer = Linear::new(backend, weight, None, Precision::F32).unwrap();
        let y = backend.linear(&backend.upload(x).unwrap(), &layer, Activation::Tanh).unwrap();
        let y = backend.softmax(&y).unwrap();
        numbers(backend, &backend.map(UnaryOp::Sqrt, &y.permute(&[1, 0]).unwrap()).unwrap())
    }
    assert_close("a chain of kernels", &run(&backend, &x, &weight), &run(&Reference, &x, &weight), 3e-6);
}

#[test]
fn what_is_too_large_is_an_error() {
    let Some(backend) = backend_within(small_buffers()) else { return };
    let vector = HostTensor::from_vec(vec![0f32; 5000], [5000]);
    let error = backend.upload(&vector).unwrap_err();
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<WgpuError>());
    assert!(matches!(cause, Some(WgpuError::TooLarge { bytes: 20_000, limit: 16_384, .. })), "{cause:?}");
    // A result, too; and the device goes on.
    let row = backend.upload(&HostTensor::from_vec(vec![1f32; 100], [1, 100])).unwrap();
    assert!(backend.map(UnaryOp::Copy, &row.broadcast_to([100, 100]).unwrap()).is_err());
    assert_eq!(numbers(&backend, &row), [1.0; 100]);
}

#[test]
fn a_device_that_can_do_too_little_is_an_error() {
    if backend().is_none() {
        return;
    }
    let open = |limits| {
        pollster::block_on(WgpuBackend::new(&WgpuOptions { limits: Some(limits), ..Default::default() }))
    };
    let too_small = Limits { max_compute_workgroup_storage_size: 1024, ..Limits::defaults() };
    let error = open(too_small).unwrap_err();
    assert!(matches!(error, WgpuError::Limit { found: 1024, .. }), "{error}");
    assert!(error.to_string().contains("maxComputeWorkgroupStorageSize"), "{error}");
    let too_large = Limits { max_storage_buffers_per_shader_stage: u32::MAX, ..Limits::defaults() };
    let error = open(too_large).unwrap_err();
    assert!(matches!(error, WgpuError::Open { .. }), "{error}");
}

#[test]
fn what_the_driver_refuses_is_an_error_from_then_on() {
    let Some(backend) = backend() else { return };
    let x = backend.upload(&HostTensor::from_vec(vec![1f32; 4], [4])).unwrap();
    backend.ask_too_much();
    for _ in 0..2 {
        let error = backend.map(UnaryOp::Exp, &x).unwrap_err();
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<WgpuError>());
        assert!(matches!(cause, Some(WgpuError::Refused { .. })), "{cause:?}");
    }
    assert!(pollster::block_on(backend.download(&[x])).is_err());
}

#[test]
fn a_packed_weight_is_no_tensor() {
    let Some(backend) = backend() else { return };
    let plain = backend.upload(&HostTensor::from_vec(vec![1f32; 64], [8, 8])).unwrap();
    let weight = HostTensor::from_vec(vec![1f32; 64], [8, 8]);
    let packed = View::contiguous(
        backend.prepare_weight((&weight).into(), Precision::F32).unwrap(),
        DType::F32,
        [8, 8],
    );
    assert!(backend.softmax(&packed).is_err());
    assert!(pollster::block_on(backend.download(&[packed])).is_err());
    let layer = Linear {
        weight: plain.buffer().clone(),
        bias: None,
        in_features: 8,
        out_features: 8,
        precision: Precision::F32,
    };
    // As training leaves it a weight is plain; in other precisions it has to be packed.
    assert!(backend.linear(&plain, &layer, Activation::Identity).is_ok());
    let layer = Linear { precision: Precision::F16, ..layer };
    assert!(backend.linear(&plain, &layer, Activation::Identity).is_err());
    assert!(backend.prepare_weight((&weight).into(), Precision::Bf16).is_err());
}
