//! The coarse operations, against the default bodies on the reference.

use bert_core::Backend;
use bert_core::contract::{
    Activation, AttentionSpec, DeviceBatch, EmbeddingTables, LayerNorm, Linear, Pooling, Precision,
};
use bert_core::tensor::{DType, HostTensor, View};

use super::{OfRow, OfRowOrOne, Random, SIZES, backends, compare, download, operation};

const ACTIVATIONS: [Activation; 5] =
    [Activation::Identity, Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Tanh];

/// Sequences of these lengths, without ids: what attention and pooling look at.
pub(super) fn batch<B: Backend>(backend: &B, lengths: &[usize]) -> DeviceBatch<B::Buffer> {
    let mut bounds = vec![0u32];
    lengths.iter().for_each(|&length| bounds.push(bounds[bounds.len() - 1] + length as u32));
    let tokens = *bounds.last().unwrap() as usize;
    let upload = |values: Vec<u32>| {
        let length = values.len();
        backend.upload(&HostTensor::from_vec(values, [length])).unwrap()
    };
    DeviceBatch {
        ids: upload((0..tokens as u32).map(|i| i * 5 % 23).collect()),
        segments: upload((0..tokens as u32).map(|i| i % 2).collect()),
        positions: upload(lengths.iter().flat_map(|&length| 0..length as u32).collect()),
        device_bounds: upload(bounds.clone()),
        bounds: bounds.into(),
        marked: None,
    }
}

#[test]
fn linear_layers_of_all_sizes() {
    let mut random = Random::new(11);
    // The bound is that of 768 products, multiplied and added with two roundings as portable code does.
    for rows in [1, 2, 3, 4, 5, 6, 7, 13, 17, 64, 200] {
        for (inner, outer) in [(1, 1), (3, 17), (64, 63), (65, 64), (257, 65), (520, 33), (768, 96)] {
            let inputs = [random.tensor([rows, inner])];
            let (weight, bias) = (random.tensor([outer, inner]), random.tensor([outer]));
            for activation in ACTIVATIONS {
                for bias in [None, Some(&bias)] {
                    let op = Layer { weight: &weight, bias, activation };
                    compare(
                        &format!("linear {rows}x{inner}x{outer} {activation:?}"),
                        OfRowOrOne(2e-5),
                        &inputs,
                        op,
                    );
                }
            }
        }
    }
}

struct Layer<'a> {
    weight: &'a HostTensor,
    bias: Option<&'a HostTensor>,
    activation: Activation,
}

impl super::Operation for Layer<'_> {
    fn run<B: Backend>(
        &self,
        backend: &B,
        inputs: &[bert_core::contract::Tensor<B>],
    ) -> bert_core::contract::Tensor<B> {
        let layer = Linear::new(backend, self.weight, self.bias, Precision::F32).unwrap();
        backend.linear(&inputs[0], &layer, self.activation).unwrap()
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_among_others() {
    let mut random = Random::new(12);
    let (inner, outer) = (520, 100);
    let x = random.tensor([250, inner]);
    let (weight, bias) = (random.tensor([outer, inner]), random.tensor([outer]));
    for backend in backends() {
        for precision in backend.info().precisions {
            let layer = Linear::new(&backend, &weight, Some(&bias), precision).unwrap();
            let x = backend.upload(&x).unwrap();
            let run = |rows: std::ops::Range<usize>| {
                let y = backend.linear(&x.slice(0, rows).unwrap(), &layer, Activation::Gelu).unwrap();
                download(&backend, &y).as_slice::<f32>().unwrap().to_vec()
            };
            let all = run(0..250);
            for (from, count) in [(0, 1), (249, 1), (7, 2), (30, 3), (40, 5), (11, 6), (100, 13), (3, 200)] {
                let some = run(from..from + count);
                let same = some == all[from * outer..(from + count) * outer];
                assert!(same, "{count} rows in {precision} on {backend:?}");
            }
        }
    }
}

#[test]
fn linear_layers_of_a_strided_input() {
    let mut random = Random::new(13);
    let inputs = [random.tensor([40, 30])];
    let (weight, bias) = (random.tensor([21, 25]), random.tensor([21]));
    struct Strided<'a>(Layer<'a>);
    impl super::Operation for Strided<'_> {
        fn run<B: bert_core::train::TrainBackend>(
            &self,
            backend: &B,
            inputs: &[bert_core::contract::Tensor<B>],
        ) -> bert_core::contract::Tensor<B> {
            let sliced = inputs[0].slice(1, 2..27).unwrap();
            let columns = inputs[0].permute(&[1, 0]).unwrap().slice(1, 4..29).unwrap();
            let all = [&sliced, &columns].map(|x| self.0.run(backend, std::slice::from_ref(x)));
            backend
                .zip(bert_core::contract::BinaryOp::Add, &all[0].slice(0, 0..30).unwrap(), &all[1])
                .unwrap()
        }
    }
    let op = Strided(Layer { weight: &weight, bias: Some(&bias), activation: Activation::Identity });
    compare("linear of strided views", OfRowOrOne(6e-6), &inputs, op);
}

#[test]
fn weights_of_every_float_type() {
    let mut random = Random::new(14);
    let x = [random.tensor([3, 70])];
    let numbers = random.tensor([37, 70]);
    let halves: Vec<_> = numbers.as_slice::<f32>().unwrap().iter().map(|&x| half::f16::from_f32(x)).collect();
    let brains: Vec<_> =
        numbers.as_slice::<f32>().unwrap().iter().map(|&x| half::bf16::from_f32(x)).collect();
    let doubles: Vec<_> = numbers.as_slice::<f32>().unwrap().iter().map(|&x| f64::from(x)).collect();
    let weights = [
        HostTensor::from_vec(halves, [37, 70]),
        HostTensor::from_vec(brains, [37, 70]),
        HostTensor::from_vec(doubles, [37, 70]),
    ];
    for weight in &weights {
        let op = Layer { weight, bias: None, activation: Activation::Identity };
        compare(&format!("linear of {weight:?}"), OfRowOrOne(5e-6), &x, op);
    }
    let whole = HostTensor::from_vec(vec![1i8; 6], [2, 3]);
    for backend in backends() {
        let error = backend.prepare_weight((&whole).into(), Precision::F32).unwrap_err();
        assert!(error.to_string().contains("i8"), "{error}");
        assert!(backend.prepare_weight((&numbers).into(), Precision::F16).is_err());
        // A packed weight is no tensor, and a tensor no packed weight: an error, not a wrong number.
        let packed = backend.prepare_weight((&numbers).into(), Precision::F32).unwrap();
        let view = View::contiguous(packed, DType::F32, [37, 70]);
        assert!(backend.softmax(&view).is_err());
        let plain = backend.upload(&numbers).unwrap();
        let layer = Linear {
            weight: plain.buffer().clone(),
            bias: None,
            in_features: 70,
            out_features: 37,
            precision: Precision::F32,
        };
        assert!(backend.linear(&plain, &layer, Activation::Identity).is_err());
    }
}

#[test]
fn layer_norm_of_far_means_and_constant_rows() {
    let mut random = Random::new(15);
    for length in SIZES {
        // A few numbers may lie near one another: the rounding of their mean is divided by a small spread.
        let few = if length < 4 { 10.0 } else { 1.0 };
        // Near 1000 neighbouring numbers are 6e-5 apart, and the mean is one of them.
        for (mean, spread, tolerance) in
            [(0.0, 1.0, 5e-6), (1e3, 1.0, 1e-3), (-5.0, 0.0, 5e-6 * few), (0.0, 1e-6, 5e-6)]
        {
            let inputs = [
                random.around(mean, spread, [19, length]),
                random.around(0.0, 0.5, [19, length]),
                random.around(1.0, 0.3, [length]),
                random.tensor([length]),
            ];
            let one = operation!(|b, x| {
                b.layer_norm(&x[0], &LayerNorm { weight: x[2].clone(), bias: x[3].clone(), eps: 1e-12 })
            });
            compare(&format!("layer_norm of {length} around {mean}"), OfRow(tolerance), &inputs, one);
            let both = operation!(|b, x| {
                let norm = LayerNorm { weight: x[2].clone(), bias: x[3].clone(), eps: 1e-5 };
                b.add_layer_norm(&x[0], &x[1], &norm)
            });
            compare(&format!("add_layer_norm of {length} around {mean}"), OfRow(tolerance), &inputs, both);
        }
    }
}

#[test]
fn softmax_of_flat_and_peaked_rows() {
    let mut random = Random::new(16);
    for length in SIZES {
        for spread in [0.0, 1.0, 300.0, 1e30] {
            let inputs = [random.around(0.0, spread, [5, 3, length])];
            compare("softmax", OfRow(3e-6), &inputs, operation!(|b, x| b.softmax(&x[0])));
            let columns = operation!(|b, x| b.softmax(&x[0].permute(&[2, 0, 1]).unwrap()));
            compare("softmax of a permuted view", OfRow(3e-6), &inputs, columns);
        }
    }
}

#[test]
fn attention_of_ragged_batches() {
    struct Attend<'a>(&'a [usize], usize, Precision);
    impl super::Operation for Attend<'_> {
        fn run<B: Backend>(
            &self,
            backend: &B,
            inputs: &[bert_core::contract::Tensor<B>],
        ) -> bert_core::contract::Tensor<B> {
            let size = inputs[0].shape()[1] / 3 / self.1;
            let spec = AttentionSpec::new(self.1, size, self.2);
            backend.attention(&inputs[0], &spec, &batch(backend, self.0)).unwrap()
        }
    }
    let mut random = Random::new(17);
    let batches: [&[usize]; 6] = [&[1], &[3, 1, 17], &[64], &[65, 2, 63], &[257, 1], &[130, 130]];
    for lengths in batches {
        let tokens = lengths.iter().sum();
        for (heads, size) in [(1, 1), (2, 32), (3, 64), (2, 17), (1, 128), (5, 6)] {
            // Scores of a spread of 1, and of one that leaves a single key in each row.
            for spread in [1.0, 12.0] {
                let mut qkv = random.around(0.0, spread, [tokens, 3 * heads * size]);
                if spread == 1.0 {
                    qkv = random.tensor([tokens, 3 * heads * size]);
                }
                let name = format!("attention of {lengths:?}, {heads} heads of {size}, spread {spread}");
                // A score of 1000 has an error of 1e-4, and its exponential the same relative one. A row that
                // is one number may be a sum whose summands cancel.
                let bound = OfRowOrOne(if spread == 1.0 { 3e-6 } else { 2e-3 });
                compare(&name, bound, std::slice::from_ref(&qkv), Attend(lengths, heads, Precision::F32));
                // Of numbers that bf16 holds, nothing but the weights has to be rounded, to 8 bits.
                let held = |&x: &f32| half::bf16::from_f32(x).to_f32();
                let held: Vec<f32> = qkv.as_slice::<f32>().unwrap().iter().map(held).collect();
                let held = [HostTensor::from_vec(held, qkv.shape())];
                let bound = OfRowOrOne(if spread == 1.0 { 4e-3 } else { 2.5e-2 });
                for precision in [Precision::Bf16, Precision::Int8] {
                    compare(
                        &format!("{name} in {precision}"),
                        bound,
                        &held,
                        Attend(lengths, heads, precision),
                    );
                }
            }
        }
    }
}

#[test]
fn attention_is_rounded_where_bf16_has_instructions_and_nowhere_else() {
    let qkv = Random::new(19).tensor([40, 3 * 64]);
    for backend in backends() {
        let (qkv, batch) = (backend.upload(&qkv).unwrap(), batch(&backend, &[33, 7]));
        let [exact, bf16, int8] = [Precision::F32, Precision::Bf16, Precision::Int8].map(|precision| {
            let context = backend.attention(&qkv, &AttentionSpec::new(2, 32, precision), &batch).unwrap();
            download(&backend, &context).bytes().to_vec()
        });
        assert_eq!(exact != bf16, backend.cpu.isa.has_bf16(), "{backend:?}");
        assert_eq!(bf16, int8, "{backend:?}");
    }
}

#[test]
fn a_sequence_has_the_same_bits_alone_and_among_others() {
    let mut random = Random::new(18);
    let (heads, size) = (3, 32);
    let hidden = heads * size;
    let lengths = [40, 300, 1, 129];
    let qkv = random.around(0.0, 3.0, [lengths.iter().sum(), 3 * hidden]);
    for (backend, precision) in backends().iter().flat_map(|b| [(b, Precision::F32), (b, Precision::Bf16)]) {
        let qkv = backend.upload(&qkv).unwrap();
        let bits = |rows: std::ops::Range<usize>, lengths: &[usize]| {
            let part = qkv.slice(0, rows).unwrap();
            let batch = batch(backend, lengths);
            let context =
                backend.attention(&part, &AttentionSpec::new(heads, size, precision), &batch).unwrap();
            let pooled = backend.pool(&part, &batch, Pooling::Mean).unwrap();
            [context, pooled].map(|x| download(backend, &x).as_slice::<f32>().unwrap().to_vec())
        };
        let [context, pooled] = bits(0..lengths.iter().sum(), &lengths);
        let mut start = 0;
        for (index, length) in lengths.into_iter().enumerate() {
            let [alone, alone_pooled] = bits(start..start + length, &[length]);
            assert!(alone == context[start * hidden..(start + length) * hidden], "{length} on {backend:?}");
            assert!(alone_pooled == pooled[index * 3 * hidden..(index + 1) * 3 * hidden]);
            start += length;
        }
    }
}

#[test]
fn pooling() {
    struct Pool(Pooling);
    const LENGTHS: [usize; 5] = [3, 1, 17, 200, 1];
    impl super::Operation for Pool {
        fn run<B: Backend>(
            &self,
            backend: &B,
            inputs: &[bert_core::contract::Tensor<B>],
        ) -> bert_core::contract::Tensor<B> {
            backend.pool(&inputs[0], &batch(backend, &LENGTHS), self.0).unwrap()
        }
    }
    let mut random = Random::new(19);
    for hidden in SIZES {
        let x = [random.around(-1.0, 0.7, [LENGTHS.iter().sum(), hidden])];
        for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Max, Pooling::MeanSqrtLen] {
            compare(&format!("{pooling:?}"), OfRow(2e-6), &x, Pool(pooling));
        }
    }
}

#[test]
fn embeddings() {
    let mut random = Random::new(20);
    for hidden in SIZES {
        let inputs = [
            random.tensor([23, hidden]),
            random.tensor([64, hidden]),
            random.tensor([2, hidden]),
            random.around(1.0, 0.3, [hidden]),
            random.tensor([hidden]),
        ];
        for types in [true, false] {
            let op = operation!(
                |b, x| {
                    let tables = EmbeddingTables {
                        word: x[0].clone(),
                        position: x[1].clone(),
                        token_type: types.then(|| x[2].clone()),
                        norm: LayerNorm { weight: x[3].clone(), bias: x[4].clone(), eps: 1e-12 },
                    };
                    b.embed(&tables, &batch(b, &[5, 1, 64, 33]))
                };
                types: bool
            );
            compare(&format!("embed {hidden}"), OfRow(3e-6), &inputs, op);
        }
    }
}

#[test]
fn many_callers_get_right_answers() {
    let mut random = Random::new(21);
    let x = random.tensor([33, 64]);
    let weight = random.tensor([96, 64]);
    for backend in backends() {
        let layer = Linear::new(&backend, &weight, None, Precision::F32).unwrap();
        let run = || {
            let x = backend.upload(&x).unwrap();
            let y = backend.linear(&x, &layer, Activation::Gelu).unwrap();
            download(&backend, &backend.softmax(&y).unwrap()).as_slice::<f32>().unwrap().to_vec()
        };
        let expected = run();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| assert!(run() == expected)));
            }
        });
    }
}
