//! Whole layers: the same bits in any company, few submissions, flat memory, many callers.

use bert_core::Backend;
use bert_core::contract::{
    Activation, AttentionSpec, Counts, EmbeddingTables, LayerNorm, Linear, Pooling, Precision, Tensor,
};
use bert_core::reference::Reference;
use bert_core::tensor::HostTensor;

use super::{Random, assert_close, backend, batch, download, numbers};

const HIDDEN: usize = 48;
const HEADS: usize = 3;

fn attention() -> AttentionSpec {
    AttentionSpec::new(HEADS, HIDDEN / HEADS, Precision::F32)
}

/// The parameters of a small BERT whose layers are all the same one.
struct Small<B: Backend> {
    tables: EmbeddingTables<B::Buffer>,
    qkv: Linear<B::Buffer>,
    output: Linear<B::Buffer>,
    up: Linear<B::Buffer>,
    down: Linear<B::Buffer>,
    norm: LayerNorm<B::Buffer>,
}

impl<B: Backend> Small<B> {
    fn new(backend: &B, precision: Precision) -> Self {
        Self::rounded(backend, precision, |x| x)
    }

    /// With a function of the weights of linear layers.
    fn rounded(backend: &B, precision: Precision, round: fn(f32) -> f32) -> Self {
        let mut random = Random::new(7);
        let mut linear = |outputs: usize, inputs: usize| {
            let (weight, bias) = (random.tensor([outputs, inputs]), random.tensor([outputs]));
            let weight = weight.to_f32().unwrap().iter().map(|&x| round(x)).collect();
            let weight = HostTensor::from_vec(weight, [outputs, inputs]);
            Linear::new(backend, &weight, Some(&bias), precision).unwrap()
        };
        let (qkv, output) = (linear(3 * HIDDEN, HIDDEN), linear(HIDDEN, HIDDEN));
        let (up, down) = (linear(4 * HIDDEN, HIDDEN), linear(HIDDEN, 4 * HIDDEN));
        let (weight, bias) = (random.tensor([HIDDEN]), random.tensor([HIDDEN]));
        let norm = LayerNorm::new(backend, &weight, &bias, 1e-12).unwrap();
        let mut table = |rows: usize| backend.upload(&random.tensor([rows, HIDDEN])).unwrap();
        let (word, position, token_type) = (table(23), table(300), Some(table(2)));
        Self {
            tables: EmbeddingTables { word, position, token_type, norm: norm.clone() },
            qkv,
            output,
            up,
            down,
            norm,
        }
    }

    /// `[tokens, hidden]`
    fn forward(&self, backend: &B, layers: usize, lengths: &[usize]) -> bert_core::Result<Tensor<B>> {
        let batch = batch(backend, lengths);
        let mut hidden = backend.embed(&self.tables, &batch)?;
        for _ in 0..layers {
            let qkv = backend.linear(&hidden, &self.qkv, Activation::Identity)?;
            let context = backend.attention(&qkv, &attention(), &batch)?;
            let attended = backend.linear(&context, &self.output, Activation::Identity)?;
            let attended = backend.add_layer_norm(&attended, &hidden, &self.norm)?;
            let inner = backend.linear(&attended, &self.up, Activation::Gelu)?;
            let output = backend.linear(&inner, &self.down, Activation::Identity)?;
            hidden = backend.add_layer_norm(&output, &attended, &self.norm)?;
        }
        Ok(hidden)
    }
}

#[test]
fn two_layers_agree_with_the_reference() {
    let Some(backend) = backend() else { return };
    let lengths = [9, 1, 70];
    // Halves are exact as floats, so that nothing but the weights' rounding may tell these from f32.
    let half = |x| half::f16::from_f32(x).to_f32();
    for (precision, round) in [(Precision::F32, (|x| x) as fn(f32) -> f32), (Precision::F16, half)] {
        let model = Small::rounded(&Reference, Precision::F32, round);
        let expected = numbers(&Reference, &model.forward(&Reference, 2, &lengths).unwrap());
        let found = Small::new(&backend, precision).forward(&backend, 2, &lengths).unwrap();
        assert_close(&format!("two layers in {precision}"), &numbers(&backend, &found), &expected, 1e-5);
    }
}

#[test]
fn a_forward_pass_is_one_submission_of_few_dispatches() {
    let Some(backend) = backend() else { return };
    // Seven kernels a layer, and in 8 bits another one before each product.
    for (precision, each) in [(Precision::F32, 7), (Precision::F16, 7), (Precision::Int8, 11)] {
        let model = Small::new(&backend, precision);
        let before = backend.counts().unwrap();
        let hidden = model.forward(&backend, 12, &[9, 1, 70]).unwrap();
        download(&backend, &hidden);
        let expected = Counts {
            submissions: 1,
            // The embeddings are a sum and a LayerNorm.
            dispatches: 12 * each + 2,
            // Ids, segments, positions and bounds go up; what was asked for comes down.
            uploads: 4,
            uploaded_bytes: 4 * (3 * 80 + 4),
            downloads: 1,
            downloaded_bytes: 4 * 80 * HIDDEN as u64,
        };
        assert_eq!(backend.counts().unwrap().since(before), expected, "{precision}");
    }
}

#[test]
fn a_sequence_has_the_same_bits_alone_and_among_others() {
    let Some(backend) = backend() else { return };
    let model = Small::new(&backend, Precision::F32);
    let lengths = [40, 1, 129];
    let mut random = Random::new(18);
    let tokens: usize = lengths.iter().sum();
    let x = backend.upload(&random.tensor([tokens, HIDDEN])).unwrap();
    let run = |x: &Tensor<crate::WgpuBackend>, lengths: &[usize]| {
        let batch = batch(&backend, lengths);
        let qkv = backend.linear(x, &model.qkv, Activation::Gelu).unwrap();
        let context = backend.attention(&qkv, &attention(), &batch).unwrap();
        let normal = backend.add_layer_norm(&context, x, &model.norm).unwrap();
        let pooled = backend.pool(&normal, &batch, Pooling::Mean).unwrap();
        [download(&backend, &normal), download(&backend, &pooled)].map(|x| x.bytes().to_vec())
    };
    let [together, pooled] = run(&x, &lengths);
    let (mut start, row) = (0, 4 * HIDDEN);
    for (index, length) in lengths.into_iter().enumerate() {
        let [alone, alone_pooled] = run(&x.slice(0, start..start + length).unwrap(), &[length]);
        assert!(alone == together[start * row..(start + length) * row], "{length} tokens");
        assert!(alone_pooled == pooled[index * row..(index + 1) * row], "{length} tokens, pooled");
        start += length;
    }
}

#[test]
fn memory_is_flat_over_a_thousand_calls() {
    let Some(backend) = backend() else { return };
    let model = Small::new(&backend, Precision::F32);
    let call = |index: usize| {
        let hidden = model.forward(&backend, 1, &[1 + index % 7, 3]).unwrap();
        download(&backend, &hidden);
    };
    (0..50).for_each(call);
    let (used, free) = backend.memory();
    (50..1000).for_each(call);
    assert_eq!(backend.memory(), (used, free));
    drop(model);
    assert_eq!(backend.memory().0, 0, "bytes in use without a tensor");
}

#[test]
fn many_callers_get_right_answers() {
    let Some(backend) = backend() else { return };
    let model = Small::new(&backend, Precision::F32);
    let run = || download(&backend, &model.forward(&backend, 1, &[5, 2]).unwrap()).bytes().to_vec();
    let expected = run();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| assert!(run() == expected)));
        }
    });
}

#[test]
fn heads_of_any_size() {
    let Some(backend) = backend() else { return };
    let mut random = Random::new(20);
    for (heads, size) in [(1, 1), (2, 17), (3, 64), (1, 128), (1, 160)] {
        let lengths = [33, 1, 64];
        let qkv: HostTensor = random.tensor([98, 3 * heads * size]);
        fn run<B: Backend>(backend: &B, qkv: &HostTensor, heads: usize, lengths: &[usize]) -> Vec<f64> {
            let qkv = backend.upload(qkv).unwrap();
            numbers(
                backend,
                &backend
                    .attention(
                        &qkv,
                        &AttentionSpec::new(heads, qkv.shape()[1] / 3 / heads, Precision::F32),
                        &batch(backend, lengths),
                    )
                    .unwrap(),
            )
        }
        let (found, expected) =
            (run(&backend, &qkv, heads, &lengths), run(&Reference, &qkv, heads, &lengths));
        assert_close(&format!("{heads} heads of {size}"), &found, &expected, 3e-6);
    }
}
