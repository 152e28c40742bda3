//! A model that has seen batches of a size allocates nothing for the next one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bert_backend_cpu::{CpuBackend, CpuBuffer, CpuOptions};
use bert_core::Backend;
use bert_core::contract::{
    Activation, AttentionSpec, DeviceBatch, EmbeddingTables, LayerNorm, Linear, Pooling, Precision,
};
use bert_core::tensor::{HostTensor, View};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn layers_allocate_nothing_once_they_are_warm() {
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        passes(precision);
    }
}

fn passes(precision: Precision) {
    const HIDDEN: usize = 96;
    let backend = CpuBackend::new(CpuOptions { threads: Some(2), simd: None }).unwrap();
    let numbers = |shape: &[usize]| {
        let values = (0..shape.iter().product::<usize>()).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0);
        HostTensor::from_vec(values.collect(), bert_core::tensor::Shape::new(shape).unwrap())
    };
    let upload = |shape: &[usize]| backend.upload(&numbers(shape)).unwrap();
    let norm = || LayerNorm { weight: upload(&[HIDDEN]), bias: upload(&[HIDDEN]), eps: 1e-12 };
    let linear = |outer: usize, inner: usize| {
        Linear::new(&backend, &numbers(&[outer, inner]), Some(&numbers(&[outer])), precision).unwrap()
    };
    let tables = EmbeddingTables {
        word: upload(&[50, HIDDEN]),
        position: upload(&[80, HIDDEN]),
        token_type: Some(upload(&[2, HIDDEN])),
        norm: norm(),
    };
    let (qkv, output) = (linear(3 * HIDDEN, HIDDEN), linear(HIDDEN, HIDDEN));
    let (up, down, norm) = (linear(4 * HIDDEN, HIDDEN), linear(HIDDEN, 4 * HIDDEN), norm());

    let ids = |values: Vec<u32>| -> View<CpuBuffer> {
        let length = values.len();
        backend.upload(&HostTensor::from_vec(values, [length])).unwrap()
    };
    let bounds = vec![0u32, 70, 71, 120];
    let positions = (0..70).chain(0..1).chain(0..49).collect();
    let batch = DeviceBatch {
        ids: ids((0..120).map(|i| i * 7 % 50).collect()),
        segments: ids((0..120).map(|i| i % 2).collect()),
        positions: ids(positions),
        device_bounds: ids(bounds.clone()),
        bounds: bounds.into(),
        marked: None,
    };
    let attention = AttentionSpec::new(6, HIDDEN / 6, precision);
    let forward = || -> bert_core::Result<View<CpuBuffer>> {
        let mut hidden = backend.embed(&tables, &batch)?;
        for _ in 0..3 {
            let context = backend.attention(
                &backend.linear(&hidden, &qkv, Activation::Identity)?,
                &attention,
                &batch,
            )?;
            let attended = backend.linear(&context, &output, Activation::Identity)?;
            let attended = backend.add_layer_norm(&attended, &hidden, &norm)?;
            let inner = backend.linear(&attended, &up, Activation::Gelu)?;
            let outer = backend.linear(&inner, &down, Activation::Identity)?;
            hidden = backend.add_layer_norm(&outer, &attended, &norm)?;
        }
        backend.pool(&hidden, &batch, Pooling::Mean)
    };

    let count = || {
        let before = ALLOCATIONS.load(Relaxed);
        drop(forward().unwrap());
        ALLOCATIONS.load(Relaxed) - before
    };
    let counts: Vec<usize> = (0..100).map(|_| count()).collect();
    assert!(counts[0] > 0, "the first pass has to allocate its blocks");
    // A thread that joins late asks for scratch of its own, once for each operation; a pass that allocates
    // by itself would do so every time.
    let late: usize = counts[10..].iter().sum();
    assert!(late < 20, "allocations in passes in {precision}: {counts:?}");
}
