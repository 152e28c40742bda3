//! The kernels for devices that can do more, against the plain ones that all can run.

use bert_core::Backend;
use bert_core::contract::{Activation, AttentionSpec, LayerNorm, Linear, Precision, ReduceOp};

use super::{Random, assert_close, backend, backend_with, batch, download, numbers};
use crate::{Limits, WgpuBackend, WgpuOptions};

/// A device that uses what it has, and the same one without.
fn both() -> Option<[WgpuBackend; 2]> {
    let options = WgpuOptions { limits: Some(Limits::defaults()), plain: true, ..WgpuOptions::default() };
    let both = [backend()?, backend_with(options)?];
    assert!(!both[1].info().features.iter().any(|feature| ["subgroups", "shader-f16"].contains(&&**feature)));
    Some(both)
}

/// Says loudly what a device cannot show.
fn has(backend: &WgpuBackend, ability: &str) -> bool {
    let has = backend.adapter().features.iter().any(|feature| feature == ability);
    if !has {
        eprintln!("SKIPPED the kernels with {ability}: {} has none", backend.adapter());
    }
    has
}

#[test]
fn packed_weights_give_the_same_bits_on_any_device() {
    let Some(both) = both() else { return };
    has(&both[0], "shader-f16");
    has(&both[0], "packed_4x8_integer_dot_product");
    let mut random = Random::new(31);
    for (rows, inputs, outputs) in [(1, 3, 5), (33, 64, 65), (70, 257, 130)] {
        let (x, weight, bias) =
            (random.tensor([rows, inputs]), random.tensor([outputs, inputs]), random.tensor([outputs]));
        for precision in [Precision::F16, Precision::Int8] {
            let [able, plain] = both.each_ref().map(|backend| {
                let layer = Linear::new(backend, &weight, Some(&bias), precision).unwrap();
                let y = backend.linear(&backend.upload(&x).unwrap(), &layer, Activation::Gelu).unwrap();
                download(backend, &y).bytes().to_vec()
            });
            assert!(able == plain, "{rows} x {inputs} x {outputs} in {precision}");
        }
    }
}

#[test]
fn attention_gives_the_same_bits_on_any_device() {
    let Some(both) = both() else { return };
    has(&both[0], "subgroups");
    let mut random = Random::new(32);
    for (heads, size) in [(1, 5), (3, 16), (2, 64)] {
        let qkv = random.tensor([105, 3 * heads * size]);
        let [able, plain] = both.each_ref().map(|backend| {
            let qkv = backend.upload(&qkv).unwrap();
            let spec = AttentionSpec::new(heads, size, Precision::F32);
            let context = backend.attention(&qkv, &spec, &batch(backend, &[33, 1, 64, 7])).unwrap();
            download(backend, &context).bytes().to_vec()
        });
        assert!(able == plain, "{heads} heads of {size}");
    }
}

#[test]
fn rows_are_reduced_right_with_subgroups_and_without() {
    let Some(both) = both() else { return };
    has(&both[0], "subgroups");
    let mut random = Random::new(33);
    for length in [1, 33, 127, 128, 129, 768, 5000] {
        let (x, weight, bias) =
            (random.tensor([9, length]), random.tensor([length]), random.tensor([length]));
        let [able, plain] = both.each_ref().map(|backend| {
            let x = backend.upload(&x).unwrap();
            let norm = LayerNorm::new(backend, &weight, &bias, 1e-5).unwrap();
            let results = [
                backend.layer_norm(&x, &norm),
                backend.softmax(&x),
                backend.reduce(ReduceOp::Sum, &x),
                backend.reduce(ReduceOp::Max, &x),
            ];
            results.map(|result| numbers(backend, &result.unwrap()))
        });
        for (index, name) in ["layer_norm", "softmax", "sum"].into_iter().enumerate() {
            assert_close(&format!("{name} of {length}"), &able[index], &plain[index], 1e-5);
        }
        assert_eq!(able[3], plain[3], "maxima of {length}");
        // No number is counted twice or left out.
        let sums = x.to_f64().unwrap().rows().into_iter().map(|row| row.sum()).collect::<Vec<_>>();
        assert_close(&format!("sums of {length}"), &able[2], &sums, 1e-5);
    }
}
