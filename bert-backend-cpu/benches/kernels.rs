//! Kernels at the shapes of BERT-base and MiniLM-L6, beside what the machine can do at best.
//!
//! `cargo bench -p bert-backend-cpu`. Throughput is in floating-point operations: divide it by the limit that
//! is printed first. `BERT_SIMD` and `BERT_THREADS` choose what is measured.

use std::hint::black_box;

use bert_backend_cpu::{CpuBackend, CpuBuffer, CpuOptions};
use bert_core::Backend;
use bert_core::contract::{Activation, AttentionSpec, DeviceBatch, LayerNorm, Linear, Precision, UnaryOp};
use bert_core::tensor::{HostTensor, View};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn numbers(shape: [usize; 2]) -> HostTensor {
    let values = (0..shape[0] * shape[1]).map(|i| (i * 7919 % 1000) as f32 / 1000.0 - 0.5);
    HostTensor::from_vec(values.collect(), shape)
}

fn linear(criterion: &mut Criterion) {
    let backend = CpuBackend::new(CpuOptions::default()).expect("a backend");
    let limits = backend.limits();
    eprintln!("{backend:?}: {:.1} GB/s read", limits.read_gbytes);
    for precision in backend.info().precisions {
        eprintln!("{precision}: {:.1} GFLOP/s", limits.gflops(precision).expect("a rate of each"));
        products(criterion, &backend, precision);
    }
}

fn products(criterion: &mut Criterion, backend: &CpuBackend, precision: Precision) {
    let mut group = criterion.benchmark_group(format!("linear {precision}"));
    let (identity, gelu) = (Activation::Identity, Activation::Gelu);
    // Rows, input and output features: queries, keys and values; attention output; both feed-forward layers.
    for (rows, inner, outer, activation) in [
        (1, 768, 3072, gelu),
        (16, 768, 3072, gelu),
        (128, 768, 2304, identity),
        (128, 768, 768, identity),
        (128, 768, 3072, gelu),
        (128, 3072, 768, identity),
        (1024, 768, 3072, gelu),
        (128, 384, 1152, identity),
        (128, 384, 1536, gelu),
        (128, 1536, 384, identity),
    ] {
        // As many weights as a model has layers, so that they come from memory as they do in a model.
        let layers: Vec<Linear<CpuBuffer>> = (0..12)
            .map(|_| Linear::new(backend, &numbers([outer, inner]), None, precision).expect("a layer"))
            .collect();
        let x = backend.upload(&numbers([rows, inner])).expect("an upload");
        let mut layer = layers.iter().cycle();
        group.throughput(Throughput::Elements((2 * rows * inner * outer) as u64));
        group.bench_function(
            BenchmarkId::from_parameter(format!("{rows}x{inner}x{outer} {activation:?}")),
            |bencher| {
                bencher.iter(|| backend.linear(black_box(&x), layer.next().expect("endless"), activation));
            },
        );
    }
    group.finish();
}

fn batch(backend: &CpuBackend, lengths: &[usize]) -> DeviceBatch<CpuBuffer> {
    let mut bounds = vec![0u32];
    lengths.iter().for_each(|&length| bounds.push(bounds[bounds.len() - 1] + length as u32));
    let tokens = lengths.iter().sum();
    let upload = |values: Vec<u32>| {
        let length = values.len();
        backend.upload(&HostTensor::from_vec(values, [length])).expect("an upload")
    };
    let zeros = upload(vec![0; tokens]);
    DeviceBatch {
        ids: zeros.clone(),
        segments: zeros.clone(),
        positions: zeros,
        device_bounds: upload(bounds.clone()),
        bounds: bounds.into(),
        marked: None,
    }
}

fn attention(criterion: &mut Criterion) {
    let backend = CpuBackend::new(CpuOptions::default()).expect("a backend");
    let mut group = criterion.benchmark_group("attention");
    let mixed = [8, 16, 24, 32, 40, 48, 56, 64, 64, 72, 80, 96, 100, 120, 200, 256];
    for (name, lengths, head_size) in [
        ("1x128, heads of 64", &[128][..], 64),
        ("8x128, heads of 64", &[128; 8], 64),
        ("1x512, heads of 64", &[512], 64),
        ("16 of 8..256, heads of 64", &mixed, 64),
        ("1x128, heads of 32", &[128], 32),
    ] {
        let batch = batch(&backend, lengths);
        let qkv = backend.upload(&numbers([batch.tokens(), 3 * 12 * head_size])).expect("an upload");
        let squares: usize = lengths.iter().map(|length| length * length).sum();
        group.throughput(Throughput::Elements((4 * squares * 12 * head_size) as u64));
        for precision in [Precision::F32, Precision::Bf16] {
            group.bench_function(BenchmarkId::new(precision.to_string(), name), |bencher| {
                bencher.iter(|| {
                    backend.attention(black_box(&qkv), &AttentionSpec::new(12, 64, precision), &batch)
                });
            });
        }
    }
    group.finish();
}

fn rows(criterion: &mut Criterion) {
    let backend = CpuBackend::new(CpuOptions::default()).expect("a backend");
    let upload = |shape| backend.upload(&numbers(shape)).expect("an upload");
    let mut group = criterion.benchmark_group("rows");
    for hidden in [384, 768] {
        let (x, residual) = (upload([128, hidden]), upload([128, hidden]));
        let vector = |x: View<CpuBuffer>| x.reshape([hidden]).expect("a vector");
        let norm =
            LayerNorm { weight: vector(upload([1, hidden])), bias: vector(upload([1, hidden])), eps: 1e-12 };
        group.throughput(Throughput::Elements((128 * hidden) as u64));
        group.bench_function(BenchmarkId::new("add_layer_norm", format!("128x{hidden}")), |bencher| {
            bencher.iter(|| backend.add_layer_norm(black_box(&x), &residual, &norm));
        });
    }
    let x = upload([128, 3072]);
    group.throughput(Throughput::Elements(128 * 3072));
    for op in [UnaryOp::Gelu, UnaryOp::GeluTanh, UnaryOp::Exp, UnaryOp::Tanh] {
        group.bench_function(BenchmarkId::new(format!("{op:?}"), "128x3072"), |bencher| {
            bencher.iter(|| backend.map(op, black_box(&x)));
        });
    }
    group.bench_function(BenchmarkId::new("softmax", "128x3072"), |bencher| {
        bencher.iter(|| backend.softmax(black_box(&x)));
    });
    group.finish();
}

criterion_group!(benches, linear, attention, rows);
criterion_main!(benches);
