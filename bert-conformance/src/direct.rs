//! Every operation once more, as loops over slices in `f64`: what results are compared with.
//!
//! Nothing here is shared with a backend, not even with the reference: no views, no padding, no masks, no
//! `libm::erf`. All tensors are row-major.

use std::ops::Range;

use bert_core::contract::{Activation, BinaryOp, Pooling, ReduceOp, UnaryOp};
use bert_core::tensor::DType;

/// `a [m, k]`, `b [k, n]` -> `[m, n]`, for each pair of matrices.
pub fn matmul(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut product = Vec::with_capacity(a.len() / k * n);
    for (a, b) in a.chunks(m * k).zip(b.chunks(k * n)) {
        for row in a.chunks(k) {
            let mut sums = vec![0.0; n];
            for (x, b_row) in row.iter().zip(b.chunks(n)) {
                for (sum, y) in sums.iter_mut().zip(b_row) {
                    *sum += x * y;
                }
            }
            product.extend(sums);
        }
    }
    product
}

/// A function of one number.
pub fn unary(op: UnaryOp, x: f64) -> f64 {
    match op {
        UnaryOp::Copy => x,
        UnaryOp::Cast(DType::U32) => x.floor(),
        UnaryOp::Cast(_) => x,
        UnaryOp::Scale(factor) => factor * x,
        UnaryOp::Offset(offset) => offset + x,
        UnaryOp::Exp => x.exp(),
        UnaryOp::Log => x.ln(),
        UnaryOp::Sqrt => x.sqrt(),
        UnaryOp::Reciprocal => 1.0 / x,
        UnaryOp::Tanh => x.tanh(),
        UnaryOp::Sigmoid => 0.5 + 0.5 * (0.5 * x).tanh(),
        UnaryOp::Relu if x > 0.0 => x,
        UnaryOp::Relu => 0.0,
        UnaryOp::Gelu => x * normal_distribution(x),
        UnaryOp::GeluTanh => {
            // 0.5 * (1 + tanh(y)) is the sigmoid of 2y.
            let y = 2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            x / (1.0 + (-y).exp())
        }
    }
}

/// `Φ(x)`. Source: Marsaglia, "Evaluating the normal distribution" (2004): a series whose terms all have
/// one sign.
fn normal_distribution(x: f64) -> f64 {
    if x.abs() > 9.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut term, mut sum, mut i) = (x, x, 1.0);
    while term.abs() > 1e-20 * sum.abs() {
        i += 2.0;
        term *= x * x / i;
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

/// A function of two numbers.
pub fn binary(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Max if a > b => a,
        BinaryOp::Max => b,
    }
}

/// `[rows, n]` -> `[rows, 1]`
pub fn reduce(op: ReduceOp, x: &[f64], n: usize) -> Vec<f64> {
    let row = |row: &[f64]| match op {
        ReduceOp::Sum => row.iter().sum(),
        ReduceOp::Max => row.iter().copied().reduce(f64::max).expect("no extent is 0"),
    };
    x.chunks(n).map(row).collect()
}

/// `x [rows, inputs]`, `weight [outputs, inputs]`, `bias [outputs]` -> `[rows, outputs]`
pub fn linear(
    x: &[f64],
    weight: &[f64],
    bias: Option<&[f64]>,
    inputs: usize,
    activation: Activation,
) -> Vec<f64> {
    let mut y = Vec::with_capacity(x.len() / inputs * (weight.len() / inputs));
    for row in x.chunks(inputs) {
        for (output, weights) in weight.chunks(inputs).enumerate() {
            let dot: f64 = row.iter().zip(weights).map(|(x, w)| x * w).sum();
            let sum = dot + bias.map_or(0.0, |bias| bias[output]);
            y.push(activation.as_unary().map_or(sum, |op| unary(op, sum)));
        }
    }
    y
}

/// `table [_, n]` -> `[ids.len(), n]`
pub fn gather(table: &[f64], n: usize, ids: &[u32]) -> Vec<f64> {
    ids.iter().flat_map(|&id| &table[id as usize * n..][..n]).copied().collect()
}

/// `x [rows, n]`, scale and shift `[n]`.
pub fn layer_norm(x: &[f64], scale: &[f64], shift: &[f64], eps: f64) -> Vec<f64> {
    let n = scale.len() as f64;
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks(scale.len()) {
        let mean = row.iter().sum::<f64>() / n;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        y.extend((0..row.len()).map(|i| (row[i] - mean) / (variance + eps).sqrt() * scale[i] + shift[i]));
    }
    y
}

/// `[rows, n]`, each row normalised.
pub fn softmax(x: &[f64], n: usize) -> Vec<f64> {
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks(n) {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
        y.extend(row.iter().map(|x| (x - max).exp() / sum));
    }
    y
}

/// `qkv [tokens, 3 * hidden]`, sequence by sequence, head by head, token by token -> `[tokens, hidden]`
pub fn attention(qkv: &[f64], hidden: usize, heads: usize, scale: f64, bounds: &[u32]) -> Vec<f64> {
    let size = hidden / heads;
    let mut context = vec![0.0; qkv.len() / 3];
    each_softmax(qkv, hidden, heads, scale, bounds, |head, query, keys, weights| {
        let out = &mut context[query * hidden + head * size..][..size];
        for (key, weight) in keys.zip(weights) {
            let value = &qkv[key * 3 * hidden + 2 * hidden + head * size..][..size];
            out.iter_mut().zip(value).for_each(|(out, value)| *out += weight * value);
        }
    });
    context
}

/// `qkv [tokens, 3 * hidden]` -> `[pairs, heads]`
pub fn attention_weights(qkv: &[f64], hidden: usize, heads: usize, scale: f64, bounds: &[u32]) -> Vec<f64> {
    let lengths = bounds.windows(2).map(|pair| (pair[1] - pair[0]) as usize);
    let mut all = vec![0.0; heads * lengths.map(|length| length * length).sum::<usize>()];
    let (mut before, mut start) = (0, 0);
    each_softmax(qkv, hidden, heads, scale, bounds, |head, query, keys, weights| {
        if keys.start > start {
            before += (keys.start - start).pow(2); // the pairs of the sequence that is done
            start = keys.start;
        }
        for (key, weight) in weights.iter().enumerate() {
            all[(before + (query - start) * keys.len() + key) * heads + head] = *weight;
        }
    });
    all
}

/// Shows the weights of each head and query, with the tokens that they are of.
fn each_softmax(
    qkv: &[f64],
    hidden: usize,
    heads: usize,
    scale: f64,
    bounds: &[u32],
    mut show: impl FnMut(usize, usize, Range<usize>, &[f64]),
) {
    let size = hidden / heads;
    for sequence in bounds.windows(2) {
        let tokens = sequence[0] as usize..sequence[1] as usize;
        for head in 0..heads {
            let part = |token: usize, which: usize| {
                &qkv[token * 3 * hidden + which * hidden + head * size..][..size]
            };
            for query in tokens.clone() {
                let scores: Vec<f64> = tokens
                    .clone()
                    .map(|key| {
                        let products = part(query, 0).iter().zip(part(key, 1)).map(|(q, k)| q * k);
                        products.sum::<f64>() * scale
                    })
                    .collect();
                show(head, query, tokens.clone(), &softmax(&scores, scores.len()));
            }
        }
    }
}

/// `x [tokens, hidden]` -> `[sequences, hidden]`
pub fn pool(x: &[f64], hidden: usize, bounds: &[u32], pooling: Pooling) -> Vec<f64> {
    let mut pooled = vec![];
    for sequence in bounds.windows(2) {
        let rows = sequence[0] as usize..sequence[1] as usize;
        for feature in 0..hidden {
            let column = rows.clone().map(|row| x[row * hidden + feature]);
            let length = column.len() as f64;
            pooled.push(match pooling {
                Pooling::Cls => x[rows.start * hidden + feature],
                Pooling::Max => column.reduce(f64::max).expect("no sequence is empty"),
                Pooling::Mean => column.sum::<f64>() / length,
                Pooling::MeanSqrtLen => column.sum::<f64>() / length.sqrt(),
            });
        }
    }
    pooled
}
