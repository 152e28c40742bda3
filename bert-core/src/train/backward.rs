//! What a backend can do to train fast. Every method has a default body made of the words of [`Backend`], so that
//! a backend trains as soon as it computes; the default stays the oracle of an override.

use std::ops::Range;

use super::optimiser::{AdamStep, AdamW, adamw};
use crate::contract::{
    Activation, AttentionSpec, Backend, BinaryOp, DeviceBatch, Dropout, LayerNorm, ReduceOp, Tensor, UnaryOp,
};
use crate::observe::trace;
use crate::tensor::{HostTensor, Shape};
use crate::{Error, Result};

/// The gradients of a LayerNorm.
#[derive(Clone, Debug)]
pub struct NormGradients<T> {
    /// `[rows, hidden]`, of its input.
    pub input: T,
    /// `[hidden]`, of its scale.
    pub weight: T,
    /// `[hidden]`, of its shift.
    pub bias: T,
}

/// The backward halves of the words of [`Backend`]. Gradients have the shape of what they are the gradient of.
pub trait TrainBackend: Backend {
    /// The gradients of a linear layer's weight `[out, in]` and bias `[out]`, from its input `x [rows, in]` and the
    /// gradient `dy [rows, out]` of its output: `dyᵀ x`, and the sum of the rows of `dy`.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn weight_gradient(&self, x: &Tensor<Self>, dy: &Tensor<Self>) -> Result<[Tensor<Self>; 2]> {
        trace::default_body("weight_gradient");
        let columns = dy.permute(&[1, 0])?;
        let weight = self.matmul(&columns, x)?;
        let bias = self.reduce(ReduceOp::Sum, &columns)?.reshape([dy.shape()[1]])?;
        Ok([weight, bias])
    }

    /// The gradient of what went into an activation: `z` and `dy` of one shape.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn activation_backward(
        &self,
        activation: Activation,
        z: &Tensor<Self>,
        dy: &Tensor<Self>,
    ) -> Result<Tensor<Self>> {
        trace::default_body("activation_backward");
        match activation.as_unary() {
            Some(op) => self.zip(BinaryOp::Mul, dy, &derivative(self, op, z)?),
            None => Ok(dy.clone()),
        }
    }

    /// The gradients of [`layer_norm`](Backend::layer_norm) of `x [rows, hidden]`, given that of its output. Source:
    /// "Layer Normalization" (Ba et al., 2016), differentiated.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn layer_norm_backward(
        &self,
        x: &Tensor<Self>,
        norm: &LayerNorm<Self::Buffer>,
        dy: &Tensor<Self>,
    ) -> Result<NormGradients<Tensor<Self>>> {
        trace::default_body("layer_norm_backward");
        let shape = x.shape();
        let hidden = shape[1];
        let mean = |x: &Tensor<Self>| -> Result<Tensor<Self>> {
            let sum = self.reduce(ReduceOp::Sum, x)?;
            self.map(UnaryOp::Scale(1.0 / hidden as f64), &sum)?.broadcast_to(shape)
        };
        let centred = self.zip(BinaryOp::Sub, x, &mean(x)?)?;
        let variance = mean(&self.zip(BinaryOp::Mul, &centred, &centred)?)?;
        let deviation = self.map(UnaryOp::Sqrt, &self.map(UnaryOp::Offset(norm.eps), &variance)?)?;
        let normal = self.zip(BinaryOp::Div, &centred, &deviation)?;

        let scaled = self.zip(BinaryOp::Mul, dy, &norm.weight.broadcast_to(shape)?)?;
        let along = mean(&self.zip(BinaryOp::Mul, &scaled, &normal)?)?;
        let input = self.zip(BinaryOp::Sub, &scaled, &mean(&scaled)?)?;
        let input = self.zip(BinaryOp::Sub, &input, &self.zip(BinaryOp::Mul, &normal, &along)?)?;
        let columns = |x: &Tensor<Self>| -> Result<Tensor<Self>> {
            self.reduce(ReduceOp::Sum, &x.permute(&[1, 0])?)?.reshape([hidden])
        };
        Ok(NormGradients {
            input: self.zip(BinaryOp::Div, &input, &deviation)?,
            weight: columns(&self.zip(BinaryOp::Mul, dy, &normal)?)?,
            bias: columns(dy)?,
        })
    }

    /// The gradient of `qkv [tokens, 3 * hidden]`, given that of what [`attention`](Backend::attention) made of it.
    /// Source: "FlashAttention" (Dao et al., 2022), appendix B.
    ///
    /// The default takes one sequence after another and stores its scores. Override it to make them again, a block
    /// at a time.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn attention_backward(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<Self::Buffer>,
        dy: &Tensor<Self>,
    ) -> Result<Tensor<Self>> {
        trace::default_body("attention_backward");
        default_attention_backward(self, qkv, spec, batch, dy)
    }

    /// The sum of the rows `x [n, width]` that belong to each of `count` rows of a table, by their indices:
    /// -> `[count, width]`. Rows are added in their order, so that no thread changes a sum.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn scatter_rows(&self, x: &Tensor<Self>, indices: &[u32], count: usize) -> Result<Tensor<Self>> {
        trace::default_body("scatter_rows");
        let mut distinct = indices.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let place = |index: u32| distinct.binary_search(&index);
        // [distinct + 1, n]: which rows are added up; the last row is nothing.
        let mut wanted = vec![0f32; (distinct.len() + 1) * indices.len()];
        for (row, &index) in indices.iter().enumerate() {
            wanted[place(index).expect("listed") * indices.len() + row] = 1.0;
        }
        let wanted = HostTensor::from_vec(wanted, [distinct.len() + 1, indices.len()]);
        let sums = self.matmul(&self.upload(&wanted)?, x)?;
        let rows = (0..count as u32).map(|row| place(row).unwrap_or(distinct.len()) as u32).collect();
        self.gather_rows(&sums, &self.upload(&HostTensor::from_vec(rows, [count]))?)
    }

    /// The losses `[rows, 1]` and the gradient `[rows, classes]` of their sum, for `logits` and the distributions
    /// `targets` that they should have, both `[rows, classes]`: the cross-entropy of each row.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn cross_entropy(&self, logits: &Tensor<Self>, targets: &Tensor<Self>) -> Result<[Tensor<Self>; 2]> {
        trace::default_body("cross_entropy");
        let shape = logits.shape();
        let max = self.reduce(ReduceOp::Max, logits)?;
        let shifted = self.zip(BinaryOp::Sub, logits, &max.broadcast_to(shape)?)?;
        let exp = self.map(UnaryOp::Exp, &shifted)?;
        let sum = self.reduce(ReduceOp::Sum, &exp)?; // [rows, 1]
        let logarithm = self.map(UnaryOp::Log, &sum)?;
        let distance = self.zip(BinaryOp::Sub, &logarithm.broadcast_to(shape)?, &shifted)?;
        let losses = self.reduce(ReduceOp::Sum, &self.zip(BinaryOp::Mul, targets, &distance)?)?;
        let weights = self.zip(BinaryOp::Div, &exp, &sum.broadcast_to(shape)?)?;
        let total = self.reduce(ReduceOp::Sum, targets)?; // 1, but for rows that do not count
        let expected = self.zip(BinaryOp::Mul, &weights, &total.broadcast_to(shape)?)?;
        Ok([losses, self.zip(BinaryOp::Sub, &expected, targets)?])
    }

    /// The same for one class a row, which `logits` have, or none, where a row does not count: a `smoothing` share of
    /// each is spread over all classes. Losses `[rows, 1]` and gradient are multiplied with `factor`.
    ///
    /// The default makes the distributions on the host. Override it to make none, which is as much memory again as
    /// the scores of a vocabulary take.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn cross_entropy_classes(
        &self,
        logits: &Tensor<Self>,
        targets: &[Option<u32>],
        smoothing: f32,
        factor: f64,
    ) -> Result<[Tensor<Self>; 2]> {
        trace::default_body("cross_entropy_classes");
        let classes = logits.shape()[1];
        let mut wanted = vec![0f32; targets.len() * classes];
        for (row, target) in wanted.chunks_exact_mut(classes).zip(targets) {
            let Some(target) = *target else { continue };
            row.fill(smoothing / classes as f32);
            row[target as usize] += 1.0 - smoothing;
        }
        let wanted = self.upload(&HostTensor::from_vec(wanted, logits.shape()))?;
        let [losses, gradient] = self.cross_entropy(logits, &wanted)?;
        let factor = UnaryOp::Scale(factor);
        Ok([self.map(factor, &losses)?, self.map(factor, &gradient)?])
    }

    /// Adds a gradient to a sum of others, both contiguous and of one shape.
    ///
    /// The default puts a new tensor in the place of the sum. Override it to add in place where nobody else holds the
    /// buffer.
    ///
    /// # Errors
    /// [`Error::Device`]; the sum is then as it was.
    fn add_gradient(&self, sum: &mut Tensor<Self>, gradient: &Tensor<Self>) -> Result<()> {
        trace::default_body("add_gradient");
        *sum = self.zip(BinaryOp::Add, sum, gradient)?;
        Ok(())
    }

    /// Numbers `[n, 1]` that add up to the sum of the squares of `x`, which is contiguous: one, or one of each piece,
    /// for the host to add up in `f64`.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn squares(&self, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        trace::default_body("squares");
        let row = x.reshape([1, x.shape().elements()])?;
        self.reduce(ReduceOp::Sum, &self.zip(BinaryOp::Mul, &row, &row)?)
    }

    /// Moves a parameter and its two moments, all contiguous and of one shape, by a step of [`AdamW`].
    ///
    /// The default takes fifteen passes and puts new tensors in the place of the old ones. Override it to take one,
    /// in place where nobody else holds a buffer.
    ///
    /// # Errors
    /// [`Error::Device`]; the parameter and its moments are then as they were.
    fn adamw(
        &self,
        options: &AdamW,
        step: &AdamStep,
        decays: bool,
        [parameter, mean, square]: [&mut Tensor<Self>; 3],
        gradient: &Tensor<Self>,
    ) -> Result<()> {
        trace::default_body("adamw");
        let moved = adamw(self, options, step, decays, [parameter, mean, square], gradient)?;
        [*parameter, *mean, *square] = moved;
        Ok(())
    }
}

/// The default body of [`TrainBackend::attention_backward`], which overrides fall back to for what they do not have, such
/// as dropout.
///
/// # Errors
/// As [`TrainBackend::attention_backward`].
pub fn default_attention_backward<B: TrainBackend>(
    backend: &B,
    qkv: &Tensor<B>,
    spec: &AttentionSpec,
    batch: &DeviceBatch<B::Buffer>,
    dy: &Tensor<B>,
) -> Result<Tensor<B>> {
    let AttentionSpec { heads, head_size, scale, dropout, .. } = *spec;
    let hidden = heads * head_size;
    let of = |(sequence, rows): (usize, Range<usize>)| -> Result<Tensor<B>> {
        let length = rows.len();
        // [heads, length, head_size]
        let part = |x: &Tensor<B>, index: usize| -> Result<Tensor<B>> {
            let part = x.slice(0, rows.clone())?.slice(1, index * hidden..(index + 1) * hidden)?;
            backend.map(UnaryOp::Copy, &part)?.reshape([length, heads, head_size])?.permute(&[1, 0, 2])
        };
        let (query, key, value, dy) = (part(qkv, 0)?, part(qkv, 1)?, part(qkv, 2)?, part(dy, 0)?);
        let scores = backend.matmul(&query, &key.permute(&[0, 2, 1])?)?; //    [heads, length, length]
        let weights = backend.softmax(&backend.map(UnaryOp::Scale(scale), &scores)?)?;
        let dropped = |x: &Tensor<B>| match dropout {
            Some(dropout) => {
                let random = dropout.random.numbered(sequence as u64);
                backend.dropout(x, &Dropout { random, ..dropout })
            }
            None => Ok(x.clone()),
        };

        let dvalue = backend.matmul(&dropped(&weights)?.permute(&[0, 2, 1])?, &dy)?;
        let dweights = dropped(&backend.matmul(&dy, &value.permute(&[0, 2, 1])?)?)?;
        let along = backend.reduce(ReduceOp::Sum, &backend.zip(BinaryOp::Mul, &dweights, &weights)?)?;
        let dscores = backend.zip(BinaryOp::Sub, &dweights, &along.broadcast_to(weights.shape())?)?;
        let dscores = backend.zip(BinaryOp::Mul, &dscores, &weights)?;
        let dscores = backend.map(UnaryOp::Scale(scale), &dscores)?;
        let dquery = backend.matmul(&dscores, &key)?;
        let dkey = backend.matmul(&dscores.permute(&[0, 2, 1])?, &query)?;

        // Side by side again: [length, 3 * hidden]
        let columns = |x: Tensor<B>| -> Result<Tensor<B>> {
            backend.map(UnaryOp::Copy, &x.permute(&[0, 2, 1])?)?.reshape([hidden, length])
        };
        let columns = backend.concat(&[columns(dquery)?, columns(dkey)?, columns(dvalue)?])?;
        backend.map(UnaryOp::Copy, &columns.permute(&[1, 0])?)
    };
    let sequences = batch.bounds.windows(2).map(|pair| pair[0] as usize..pair[1] as usize);
    backend.concat(&sequences.enumerate().map(of).collect::<Result<Vec<_>>>()?)
}

/// The derivative of an element-wise function at `z`.
fn derivative<B: Backend>(backend: &B, op: UnaryOp, z: &Tensor<B>) -> Result<Tensor<B>> {
    let map = |op, x: &Tensor<B>| backend.map(op, x);
    let mul = |a: &Tensor<B>, b: &Tensor<B>| backend.zip(BinaryOp::Mul, a, b);
    let add = |a: &Tensor<B>, b: &Tensor<B>| backend.zip(BinaryOp::Add, a, b);
    let one_minus = |x: &Tensor<B>| map(UnaryOp::Offset(1.0), &map(UnaryOp::Scale(-1.0), x)?);
    match op {
        UnaryOp::Tanh => {
            let tanh = map(UnaryOp::Tanh, z)?;
            one_minus(&mul(&tanh, &tanh)?)
        }
        UnaryOp::Relu => {
            // 1 above 0 and 0 below: so large a multiple that all but 0 reaches 1.
            let large = map(UnaryOp::Scale(1e30), &map(UnaryOp::Scale(1e30), &map(UnaryOp::Relu, z)?)?)?;
            let one = backend.upload(&HostTensor::from_vec(vec![-1f32], [1]))?.broadcast_to(z.shape())?;
            let least = backend.zip(BinaryOp::Max, &map(UnaryOp::Scale(-1.0), &large)?, &one)?;
            map(UnaryOp::Scale(-1.0), &least)
        }
        // Φ(z) + z φ(z)
        UnaryOp::Gelu => {
            // Φ(z) is gelu(z) / z, moved from 0 by less than any number that matters.
            let moved = map(UnaryOp::Offset(1e-20), z)?;
            let below = backend.zip(BinaryOp::Div, &map(UnaryOp::Gelu, &moved)?, &moved)?;
            let density = map(UnaryOp::Exp, &map(UnaryOp::Scale(-0.5), &mul(z, z)?)?)?;
            let density = map(UnaryOp::Scale((std::f64::consts::TAU).sqrt().recip()), &density)?;
            add(&below, &mul(z, &density)?)
        }
        // With t = tanh(u), u = c (z + 0.044715 z³): (1 + t) / 2 + z (1 - t²) u' / 2
        UnaryOp::GeluTanh => {
            const CUBE: f64 = 0.044715;
            let c = (2.0 / std::f64::consts::PI).sqrt();
            let square = mul(z, z)?;
            let inner = map(UnaryOp::Offset(1.0), &map(UnaryOp::Scale(CUBE), &square)?)?;
            let tanh = map(UnaryOp::Tanh, &map(UnaryOp::Scale(c), &mul(z, &inner)?)?)?;
            let slope = map(UnaryOp::Offset(1.0), &map(UnaryOp::Scale(3.0 * CUBE), &square)?)?;
            let slope = mul(z, &map(UnaryOp::Scale(c), &slope)?)?;
            let second = mul(&one_minus(&mul(&tanh, &tanh)?)?, &slope)?;
            map(UnaryOp::Scale(0.5), &add(&map(UnaryOp::Offset(1.0), &tanh)?, &second)?)
        }
        UnaryOp::Sigmoid => {
            let y = map(UnaryOp::Sigmoid, z)?;
            mul(&y, &one_minus(&y)?)
        }
        UnaryOp::Exp => map(UnaryOp::Exp, z),
        UnaryOp::Log => map(UnaryOp::Reciprocal, z),
        UnaryOp::Copy | UnaryOp::Offset(_) => {
            let one = backend.upload(&HostTensor::from_vec(vec![1f32], [1]))?;
            one.broadcast_to(z.shape())
        }
        UnaryOp::Scale(factor) => {
            let one = backend.upload(&HostTensor::from_vec(vec![1f32], [1]))?;
            map(UnaryOp::Scale(factor), &one)?.broadcast_to(z.shape())
        }
        UnaryOp::Sqrt | UnaryOp::Reciprocal | UnaryOp::Cast(_) => {
            Err(Error::Gradient { word: "map", reason: "this function has no gradient rule" })
        }
    }
}

/// The gradient of an element-wise function, for the tape.
pub(super) fn map_backward<B: TrainBackend>(
    backend: &B,
    op: UnaryOp,
    z: &Tensor<B>,
    dy: &Tensor<B>,
) -> Result<Tensor<B>> {
    backend.zip(BinaryOp::Mul, dy, &derivative(backend, op, z)?)
}

/// `[rows]` of each row's own number, on a device: for tests and losses.
pub(super) fn column<B: Backend>(backend: &B, values: Vec<f32>, shape: Shape) -> Result<Tensor<B>> {
    let rows = values.len();
    backend.upload(&HostTensor::from_vec(values, [rows, 1]))?.broadcast_to(shape)
}
