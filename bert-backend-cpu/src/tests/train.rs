//! The backward halves, against the default bodies on the reference; and some steps of training as a whole.

use bert_core::contract::{
    Activation, AttentionSpec, Backend, Dropout, LayerNorm, Precision, Tensor, UnaryOp,
};
use bert_core::graph::{Head, Initial, Output};
use bert_core::reference::Reference;
use bert_core::tensor::HostTensor;
use bert_core::train::{AdamStep, AdamW, TrainBackend, Trainable, clip, loss};
use bert_core::{ModelConfig, PackedBatch};
use pollster::block_on;

use super::fused::batch;
use super::{OfRow, OfRowOrOne, Random, backends, compare, download, operation};
use crate::{CpuBackend, CpuOptions};

const LENGTHS: [usize; 7] = [1, 2, 17, 64, 65, 130, 300];

#[test]
fn transposed_copies() {
    let mut random = Random::new(61);
    for (rows, columns) in [(1, 1), (1, 9), (7, 1), (8, 8), (16, 17), (35, 64), (130, 33)] {
        let x = [random.tensor([2, columns, rows]), random.tensor([columns, 3, rows])];
        compare(
            "copy",
            OfRow(0.0),
            &x,
            operation!(|b, x| b.map(UnaryOp::Copy, &x[0].permute(&[0, 2, 1]).unwrap())),
        );
        compare(
            "copy",
            OfRow(0.0),
            &x,
            operation!(|b, x| b.map(UnaryOp::Copy, &x[1].permute(&[1, 2, 0]).unwrap())),
        );
        let part = operation!(|b, x| {
            let (_, columns, rows) = (0, x[0].shape()[1], x[0].shape()[2]);
            let part = x[0].slice(0, 1..2).unwrap().slice(1, columns / 2..columns).unwrap();
            b.map(UnaryOp::Copy, &part.slice(2, rows / 3..rows).unwrap().permute(&[0, 2, 1]).unwrap())
        });
        compare("copy of a part", OfRow(0.0), &x, part);
    }
}

#[test]
fn weight_gradients_of_all_sizes() {
    let mut random = Random::new(62);
    for rows in LENGTHS.into_iter().chain([600]) {
        for (inner, outer) in [(1, 1), (3, 17), (17, 3), (65, 64), (64, 130), (96, 257)] {
            let inputs = [random.tensor([rows, inner]), random.tensor([rows, outer])];
            for part in [0, 1] {
                let op = operation!(|b, x| b.weight_gradient(&x[0], &x[1]).map(|all| all[part].clone()); part: usize);
                compare(&format!("weight_gradient {rows}x{inner}x{outer}"), OfRowOrOne(2e-5), &inputs, op);
            }
        }
    }
    let inputs = [random.tensor([40, 30]), random.tensor([30, 50])];
    for part in [0, 1] {
        let op = operation!(|b, x| {
            let dy = x[1].permute(&[1, 0]).unwrap().slice(0, 3..43).unwrap().slice(1, 2..25).unwrap();
            b.weight_gradient(&x[0].slice(1, 5..28).unwrap(), &dy).map(|all| all[part].clone())
        }; part: usize);
        compare("weight_gradient of parts", OfRowOrOne(5e-6), &inputs, op);
    }
}

#[test]
fn gradients_of_activations() {
    let mut random = Random::new(63);
    let mut z: Vec<f32> = (0..40_000).map(|i| (i as f32 - 20_000.0) / 2_000.0).collect();
    z.extend([0.0, -0.0, 1e-30, -1e-30, 1e-6, 14.0, -14.0, 30.0, -30.0, 88.0, -88.0, 1e4, -1e4, 1e15, -1e15]);
    let length = z.len();
    let inputs = [HostTensor::from_vec(z, [length]), random.tensor([length])];
    use Activation::{Gelu, GeluTanh, Identity, Relu, Tanh};
    for activation in [Identity, Gelu, GeluTanh, Relu, Tanh] {
        let op = operation!(|b, x| b.activation_backward(activation, &x[0], &x[1]); activation: Activation);
        let bound = if matches!(activation, Identity | Relu) { 0.0 } else { 2e-6 };
        compare(&format!("{activation:?} backwards"), OfRowOrOne(bound), &inputs, op);
    }
}

#[test]
fn gradients_of_layer_norms() {
    let mut random = Random::new(64);
    for hidden in LENGTHS.into_iter().chain([768]) {
        for rows in [1, 5, 64, 65, 200] {
            for (mean, spread, bound) in [(0.0, 1.0, 2e-5), (-30.0, 0.5, 2e-4)] {
                let inputs = [
                    random.around(mean, spread, [rows, hidden]),
                    random.around(1.0, 0.5, [hidden]),
                    random.tensor([hidden]),
                    random.tensor([rows, hidden]),
                ];
                // Two numbers may lie near each other: the rounding of their mean is divided by a small spread.
                let bound = if hidden < 4 && mean != 0.0 { 10.0 * bound } else { bound };
                for part in [0, 1, 2] {
                    let op = operation!(|b, x| {
                        let norm = LayerNorm { weight: x[1].clone(), bias: x[2].clone(), eps: 1e-3 };
                        let all = b.layer_norm_backward(&x[0], &norm, &x[3]);
                        all.map(|all| [all.input, all.weight, all.bias][part].clone())
                    }; part: usize);
                    compare(&format!("layer_norm_backward {rows}x{hidden}"), OfRowOrOne(bound), &inputs, op);
                }
            }
        }
    }
}

#[test]
fn gradients_of_attention() {
    let mut random = Random::new(65);
    for (heads, head_size) in [(3, 1), (2, 17), (2, 32), (2, 64), (1, 128)] {
        let hidden = heads * head_size;
        let tokens = LENGTHS.iter().sum::<usize>();
        // The second time, scores so large that few keys count.
        for spread in [1.0, 6.0] {
            let inputs = [random.around(0.0, spread, [tokens, 3 * hidden]), random.tensor([tokens, hidden])];
            let spec = AttentionSpec::new(heads, head_size, Precision::F32);
            let op = operation!(|b, x| b.attention_backward(&x[0], &spec, &batch(b, &LENGTHS), &x[1]); spec: AttentionSpec);
            compare(&format!("attention_backward {heads}x{head_size}"), OfRowOrOne(5e-5), &inputs, op);
        }
    }
}

/// The same numbers are dropped as by the default bodies, forwards and backwards, whatever the sizes of blocks.
#[test]
fn attention_with_dropout() {
    let mut random = Random::new(71);
    for (heads, head_size) in [(3, 1), (2, 17), (2, 64)] {
        let hidden = heads * head_size;
        let tokens = LENGTHS.iter().sum::<usize>();
        let inputs = [random.around(0.0, 2.0, [tokens, 3 * hidden]), random.tensor([tokens, hidden])];
        for probability in [0.1, 0.7] {
            let random = bert_core::random::Random::new(5).numbered(9);
            let mut spec = AttentionSpec::new(heads, head_size, Precision::F32);
            spec.dropout = Some(Dropout { probability, random });
            let op = operation!(|b, x| b.attention(&x[0], &spec, &batch(b, &LENGTHS)); spec: AttentionSpec);
            compare(&format!("attention {heads}x{head_size} with dropout"), OfRowOrOne(2e-5), &inputs, op);
            let op = operation!(|b, x| b.attention_backward(&x[0], &spec, &batch(b, &LENGTHS), &x[1]); spec: AttentionSpec);
            compare(
                &format!("attention_backward {heads}x{head_size} with dropout"),
                OfRowOrOne(2e-4),
                &inputs,
                op,
            );
        }
    }
}

#[test]
fn dropped_numbers() {
    let mut random = Random::new(72);
    for shape in [[1, 1], [3, 17], [130, 64], [7, 5001]] {
        let x = [random.tensor(shape)];
        let dropout = Dropout { probability: 0.3, random: bert_core::random::Random::new(6).numbered(2) };
        let op = operation!(|b, x| b.dropout(&x[0], &dropout); dropout: Dropout);
        compare("dropout", OfRow(1e-7), &x, op);
        let part = operation!(|b, x| b.dropout(&x[0].permute(&[1, 0]).unwrap(), &dropout); dropout: Dropout);
        compare("dropout of a transposed view", OfRow(1e-7), &x, part);
    }
}

#[test]
fn gradients_are_added_in_place_where_nobody_else_has_the_sum() {
    let mut random = Random::new(73);
    for length in [1, 17, 20_000] {
        let inputs = [random.tensor([length]), random.tensor([length])];
        let op = operation!(|b, x| {
            let before = download(b, &x[0]);
            // The first sum is somebody else's, the others are not.
            let mut sum = x[0].clone();
            for _ in 0..3 {
                b.add_gradient(&mut sum, &x[1]).unwrap();
            }
            assert_eq!(before.bytes(), download(b, &x[0]).bytes(), "what others hold stays");
            Ok::<_, bert_core::Error>(sum)
        });
        compare("add_gradient", OfRowOrOne(1e-6), &inputs, op);
    }
}

#[test]
fn a_sequence_has_the_same_gradients_alone_and_among_others() {
    let mut random = Random::new(66);
    let hidden = 2 * 32;
    let tokens = LENGTHS.iter().sum::<usize>();
    let (qkv, dy) = (random.tensor([tokens, 3 * hidden]), random.tensor([tokens, hidden]));
    let spec = AttentionSpec::new(2, 32, Precision::F32);
    for backend in backends() {
        let [qkv, dy] = [&qkv, &dy].map(|x| backend.upload(x).unwrap());
        let whole = backend.attention_backward(&qkv, &spec, &batch(&backend, &LENGTHS), &dy).unwrap();
        let mut start = 0;
        for length in LENGTHS {
            let [qkv, dy, whole] = [&qkv, &dy, &whole].map(|x| x.slice(0, start..start + length).unwrap());
            let alone = backend.attention_backward(&qkv, &spec, &batch(&backend, &[length]), &dy).unwrap();
            let [alone, whole] = [alone, whole].map(|x| download(&backend, &x).bytes().to_vec());
            assert!(alone == whole, "{length} tokens on {backend:?}");
            start += length;
        }
    }
}

#[test]
fn scattered_rows() {
    let mut random = Random::new(67);
    for (rows, width, count) in [(1, 1, 1), (300, 17, 2), (130, 64, 40), (65, 5, 30_522), (64, 768, 3)] {
        let x = [random.tensor([rows, width])];
        let op = operation!(|b, x| {
            let indices: Vec<u32> = (0..x[0].shape()[0]).map(|row| (row * row * 7919 % count) as u32).collect();
            b.scatter_rows(&x[0], &indices, count)
        }; count: usize);
        compare(&format!("scatter_rows {rows}x{width} to {count}"), OfRowOrOne(5e-6), &x, op);
    }
}

#[test]
fn cross_entropies() {
    let mut random = Random::new(68);
    for classes in [1, 2, 3, 17, 300, 30_522] {
        for spread in [1.0, 40.0] {
            let mut targets = random.around(0.5, 0.5, [5, classes]).as_slice::<f32>().unwrap().to_vec();
            targets[2 * classes..3 * classes].fill(0.0);
            for row in targets.chunks_exact_mut(classes) {
                let sum: f32 = row.iter().sum();
                row.iter_mut().for_each(|x| *x /= sum.max(1e-3));
            }
            let inputs =
                [random.around(100.0, spread, [5, classes]), HostTensor::from_vec(targets, [5, classes])];
            for part in [0, 1] {
                let op = operation!(|b, x| b.cross_entropy(&x[0], &x[1]).map(|all| all[part].clone()); part: usize);
                compare(&format!("cross_entropy of {classes}"), OfRowOrOne(2e-5), &inputs, op);
                for smoothing in [0.0, 0.1] {
                    let op = operation!(|b, x| {
                        let classes = x[0].shape()[1] as u32;
                        let targets = [Some(0), None, Some(classes - 1), Some(classes / 2), Some(classes / 3)];
                        b.cross_entropy_classes(&x[0], &targets, smoothing, 0.25).map(|all| all[part].clone())
                    }; part: usize, smoothing: f32);
                    compare(&format!("cross_entropy of {classes} classes"), OfRowOrOne(2e-5), &inputs, op);
                }
            }
        }
    }
}

#[test]
fn sums_of_squares() {
    let mut random = Random::new(69);
    for length in LENGTHS.into_iter().chain([8192, 100_001]) {
        let x = [random.around(0.5, 0.5, [length])];
        let op = operation!(|b, x| {
            let parts = b.squares(&x[0]).unwrap();
            let count = parts.shape().elements();
            b.reduce(bert_core::contract::ReduceOp::Sum, &parts.reshape([1, count]).unwrap())
        });
        compare("squares", OfRow(1e-6), &x, op);
    }
}

/// Three steps of AdamW: the parameter or one of its moments.
fn steps<B: TrainBackend>(backend: &B, x: &[Tensor<B>], options: &AdamW, decays: bool) -> [Tensor<B>; 3] {
    let mut state = [x[0].clone(), x[1].clone(), x[2].clone()];
    for number in 1..=3 {
        let [parameter, mean, square] = &mut state;
        let step = AdamStep { number, rate: 0.02, scale: 0.7 };
        let gradient = &x[2 + number as usize];
        backend.adamw(options, &step, decays, [parameter, mean, square], gradient).unwrap();
    }
    state
}

#[test]
fn steps_of_adamw() {
    let mut random = Random::new(70);
    for length in LENGTHS.into_iter().chain([20_000]) {
        let mut inputs =
            vec![random.tensor([length]), random.tensor([length]), random.around(0.5, 0.4, [length])];
        inputs.extend([1.0, 1e-3, 1e-12].map(|spread| random.around(0.0, spread, [length])));
        for (options, decays) in [(AdamW::default(), true), (AdamW::bert(), false)] {
            for part in [0, 1, 2] {
                let op = operation!(|b, x| {
                    let before = download(b, &x[part]);
                    let state = steps(b, x, &options, decays);
                    assert_eq!(before.bytes(), download(b, &x[part]).bytes(), "what others hold stays");
                    Ok::<_, bert_core::Error>(state[part].clone())
                }; part: usize, options: AdamW, decays: bool);
                compare("adamw", OfRowOrOne(2e-6), &inputs, op);
            }
        }
    }
}

/// The losses of ten steps of a small model, and the bits that its parameters end as.
fn train<B: TrainBackend>(backend: B) -> (Vec<f64>, Vec<u8>) {
    let config = r#"{"vocab_size": 50, "hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2,
        "intermediate_size": 40, "max_position_embeddings": 140}"#;
    let config = ModelConfig::from_json(config).unwrap();
    let (head, source) = (Head::MaskedLm, Initial::new(3, 0.1));
    let mut model = Trainable::new(backend.clone(), config, &source, head, Precision::F32).unwrap();
    let (mut batch, mut targets) = (PackedBatch::default(), vec![]);
    for length in [3usize, 70, 1, 130, 18] {
        let ids: Vec<u32> = (0..length as u32).map(|i| (i * 31 + length as u32) % 50).collect();
        let marked: Vec<u32> = (0..length as u32).step_by(4).collect();
        targets.extend(marked.iter().map(|&i| Some(ids[i as usize])));
        batch.push_marked(&ids, &vec![0; length], &marked);
    }
    let mut losses = vec![];
    for number in 1..=10 {
        let scores = model.forward(&batch, &[Output::Scores(head)], None).unwrap().remove(0);
        let loss = loss::classes(&backend, &model.value(&scores), &targets, 0.0).unwrap();
        losses.push(block_on(loss.value(&backend)).unwrap());
        let gradients = model.backward(&[(scores, loss.gradient)]).unwrap();
        let norm = block_on(model.gradient_norm(&gradients)).unwrap();
        let step = AdamStep { number, rate: 3e-3, scale: clip(norm, 1.0) };
        model.step(&gradients, &AdamW::default(), &step).unwrap();
    }
    let parameters = block_on(model.download(None)).unwrap();
    (losses, parameters.iter().flat_map(|(_, values)| values.bytes().to_vec()).collect())
}

#[test]
fn ten_steps_have_the_losses_of_the_reference_and_the_same_bits_on_any_threads() {
    let (expected, _) = train(Reference);
    assert!(expected[9] < 0.9 * expected[0], "{expected:?}");
    for simd in crate::SimdLevel::available() {
        let on = |threads| {
            train(CpuBackend::new(CpuOptions { threads: Some(threads), simd: Some(simd) }).unwrap())
        };
        let (losses, bits) = on(1);
        for (found, expected) in losses.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4, "{losses:?} on {simd} but {expected:?}");
        }
        for threads in [2, 3] {
            assert!(on(threads) == (losses.clone(), bits.clone()), "{threads} threads on {simd}");
        }
    }
}
