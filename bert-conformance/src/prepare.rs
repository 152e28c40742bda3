//! From a case to inputs on a device, the operation to run on them, and what it should give.

use std::ops::Range;

use bert_core::config::Positions;
use bert_core::contract::{
    Activation, AttentionSpec, Backend, BinaryOp, DeviceBatch, EmbeddingTables, LayerNorm, Linear, Precision,
    Tensor,
};
use bert_core::tensor::HostTensor;
use bert_core::{PackedBatch, Result};
use fastrand::Rng;
use ndarray::{ArrayD, IxDyn};

use crate::case::{Bias, Case, Op, Scaling, Segments};
use crate::data::{DeviceInputs, Layout, Operand, Values, normal};
use crate::direct;

/// An operation with its inputs in place.
///
/// Every operation works on parts that do not know of each other: the rows of a matrix, or the sequences of
/// a batch. So it can be run on all of them or on a few, and what it gives for a part has to be the same.
pub struct Prepared<'a, B: Backend> {
    /// What it should give for all parts.
    pub want: ArrayD<f64>,
    /// Part `i` makes the rows `bounds[i]..bounds[i + 1]` of the result.
    pub bounds: Vec<usize>,
    /// Runs it on a range of parts.
    pub compute: Compute<'a, B>,
}

type Compute<'a, B> = Box<dyn Fn(Range<usize>) -> Result<Tensor<B>> + 'a>;

impl<'a, B: Backend> Prepared<'a, B> {
    fn rows(
        want: Vec<f64>,
        shape: &[usize],
        compute: impl Fn(Range<usize>) -> Result<Tensor<B>> + 'a,
    ) -> Result<Self> {
        Self::parts(want, shape, (0..=shape[0]).collect(), compute)
    }

    fn parts(
        want: Vec<f64>,
        shape: &[usize],
        bounds: Vec<usize>,
        compute: impl Fn(Range<usize>) -> Result<Tensor<B>> + 'a,
    ) -> Result<Self> {
        let want = ArrayD::from_shape_vec(IxDyn(shape), want).expect("the direct form gives this shape");
        Ok(Self { want, bounds, compute: Box::new(compute) })
    }
}

/// Makes the inputs of a case and puts them on the device_inputs.
pub fn prepare<'a, B: Backend>(
    device_inputs: &mut DeviceInputs<'a, B>,
    case: &Case,
    precision: Precision,
    rng: &mut Rng,
) -> Result<Prepared<'a, B>> {
    let backend = device_inputs.backend();
    let shape = &case.shape[..];
    let [first, second] = case.layouts;
    match case.op {
        Op::Download => {
            let (x, view) = input(device_inputs, case, shape, rng)?;
            Prepared::rows(x.slice().to_vec(), shape, move |rows| view.slice(0, rows))
        }
        Op::DownloadIds => {
            let ids = random_ids(rng, shape[0], u32::MAX as usize);
            let x = Operand::ids(&ids, first, 7);
            let view = device_inputs.place("ids", &x)?;
            Prepared::rows(x.slice().to_vec(), shape, move |rows| view.slice(0, rows))
        }
        Op::GatherRows => {
            let (table, table_view) = input(device_inputs, case, shape, rng)?;
            let ids = random_ids(rng, shape[0] + 2, shape[0]);
            let indices =
                device_inputs.place("indices", &Operand::ids(&ids, second, poison(first, shape[0])))?;
            let want = direct::gather(table.slice(), shape[1], &ids);
            Prepared::rows(want, &[ids.len(), shape[1]], move |rows| {
                backend.gather_rows(&table_view, &indices.slice(0, rows)?)
            })
        }
        Op::MatMul => {
            let [batch @ .., m, k, n] = shape else { unreachable!("a product has three extents") };
            let of = |rows: &usize, columns: &usize| [batch, &[*rows, *columns]].concat();
            let a = Operand::random(rng, &of(m, k), first, case.values);
            let b = Operand::random(rng, &of(k, n), second, case.values);
            let want = direct::matmul(a.slice(), b.slice(), [*m, *k, *n]);
            let (a, b) = (device_inputs.place("a", &a)?, device_inputs.place("b", &b)?);
            let batched = !batch.is_empty();
            Prepared::rows(want, &of(m, n), move |part| {
                let b = if batched { b.slice(0, part.clone())? } else { b.clone() };
                backend.matmul(&a.slice(0, part)?, &b)
            })
        }
        Op::Map(op) => {
            let (x, view) = input(device_inputs, case, shape, rng)?;
            let want = x.slice().iter().map(|&x| direct::unary(op, x)).collect();
            Prepared::rows(want, shape, move |rows| backend.map(op, &view.slice(0, rows)?))
        }
        Op::Zip(op) => {
            let (a, a_view) = input(device_inputs, case, shape, rng)?;
            let values = if op == BinaryOp::Div { Values::Positive } else { case.values };
            let b = Operand::random(rng, shape, second, values);
            let want = a.slice().iter().zip(b.slice()).map(|(&a, &b)| direct::binary(op, a, b)).collect();
            let b = device_inputs.place("b", &b)?;
            Prepared::rows(want, shape, move |rows| {
                backend.zip(op, &a_view.slice(0, rows.clone())?, &b.slice(0, rows)?)
            })
        }
        Op::Reduce(op) => {
            let (x, view) = input(device_inputs, case, shape, rng)?;
            let [outer @ .., n] = shape else { unreachable!("a reduction has an axis") };
            let want = direct::reduce(op, x.slice(), *n);
            let alone = outer.is_empty(); // a vector is one row, which cannot be cut
            Prepared::parts(want, &[outer, &[1]].concat(), parts_of(shape, alone), move |rows| {
                backend.reduce(op, &if alone { view.clone() } else { view.slice(0, rows)? })
            })
        }
        Op::Softmax => {
            let (x, view) = input(device_inputs, case, shape, rng)?;
            let want = direct::softmax(x.slice(), shape[shape.len() - 1]);
            let alone = shape.len() == 1;
            Prepared::parts(want, shape, parts_of(shape, alone), move |rows| {
                backend.softmax(&if alone { view.clone() } else { view.slice(0, rows)? })
            })
        }
        Op::Linear(activation, bias) => {
            let [rows, inputs, outputs] = *shape else { unreachable!("a layer has two sides") };
            let (x, view) = input(device_inputs, case, &[rows, inputs], rng)?;
            let deviation = (inputs as f64).sqrt().recip();
            let weight: Vec<f32> = (0..outputs * inputs).map(|_| (deviation * normal(rng)) as f32).collect();
            let wide: Vec<f64> = weight.iter().copied().map(f64::from).collect();
            let weight = HostTensor::from_vec(weight, [outputs, inputs]);
            let mut layer = Linear::new(backend, &weight, None, precision)?;
            let bias = (bias == Bias::With).then(|| Operand::random(rng, &[outputs], second, Values::Normal));
            let want =
                direct::linear(x.slice(), &wide, bias.as_ref().map(Operand::slice), inputs, activation);
            layer.bias = bias.map(|bias| device_inputs.place("bias", &bias)).transpose()?;
            Prepared::rows(want, &[rows, outputs], move |rows| {
                backend.linear(&view.slice(0, rows)?, &layer, activation)
            })
        }
        Op::LinearFromDevice => {
            let [rows, inputs, outputs] = *shape else { unreachable!("a layer has two sides") };
            let (x, view) = input(device_inputs, case, &[rows, inputs], rng)?;
            let weight = Operand::random(rng, &[outputs, inputs], second, Values::Normal);
            let want = direct::linear(x.slice(), weight.slice(), None, inputs, Activation::Identity);
            let weight =
                backend.prepare_weight((&device_inputs.place("weight", &weight)?).into(), precision)?;
            let layer = Linear { weight, bias: None, in_features: inputs, out_features: outputs, precision };
            Prepared::rows(want, &[rows, outputs], move |rows| {
                backend.linear(&view.slice(0, rows)?, &layer, Activation::Identity)
            })
        }
        Op::LayerNorm => {
            let (x, view) = input(device_inputs, case, shape, rng)?;
            let norm = Norm::random(rng, shape[1], second);
            let want = norm.direct(x.slice());
            let norm = norm.place(device_inputs)?;
            Prepared::rows(want, shape, move |rows| backend.layer_norm(&view.slice(0, rows)?, &norm))
        }
        Op::AddLayerNorm => {
            let (x, view) = input(device_inputs, case, shape, rng)?;
            let residual = Operand::random(rng, shape, second, case.values);
            let sum: Vec<f64> = x.slice().iter().zip(residual.slice()).map(|(x, y)| x + y).collect();
            let norm = Norm::random(rng, shape[1], Layout::Plain);
            let want = norm.direct(&sum);
            let (residual, norm) = (device_inputs.place("residual", &residual)?, norm.place(device_inputs)?);
            Prepared::rows(want, shape, move |rows| {
                backend.add_layer_norm(&view.slice(0, rows.clone())?, &residual.slice(0, rows)?, &norm)
            })
        }
        Op::Concat => {
            let (x, view) = input(device_inputs, case, &[case.lengths.iter().sum(), shape[0]], rng)?;
            let mut bounds = vec![0];
            bounds.extend(case.lengths.iter().scan(0, |end, length| {
                *end += length;
                Some(*end)
            }));
            let ends = bounds.clone();
            Prepared::parts(
                x.slice().to_vec(),
                &[bounds[case.lengths.len()], shape[0]],
                bounds,
                move |part| {
                    let parts =
                        ends[part.start..=part.end].windows(2).map(|pair| view.slice(0, pair[0]..pair[1]));
                    backend.concat(&parts.collect::<Result<Vec<_>>>()?)
                },
            )
        }
        Op::Attention(scaling) => {
            let AttentionCase { batch, qkv, spec, hidden } = attention_case(rng, case, scaling, precision);
            let want = direct::attention(qkv.slice(), hidden, spec.heads, spec.scale, batch.bounds());
            let qkv = device_inputs.place("qkv", &qkv)?;
            let batch = Batch::place(device_inputs, batch, first, 1)?;
            Prepared::parts(want, &[batch.tokens(), hidden], batch.bounds(), move |part| {
                let qkv = qkv.slice(0, batch.rows(&part))?;
                backend.attention(&qkv, &spec, &batch.part(backend, part)?)
            })
        }
        Op::AttentionWeights(scaling) => {
            let AttentionCase { batch, qkv, spec, hidden } = attention_case(rng, case, scaling, precision);
            let want = direct::attention_weights(qkv.slice(), hidden, spec.heads, spec.scale, batch.bounds());
            let qkv = device_inputs.place("qkv", &qkv)?;
            let batch = Batch::place(device_inputs, batch, first, 1)?;
            let mut pairs = vec![0];
            pairs.extend(case.lengths.iter().scan(0, |end, length| {
                *end += length * length;
                Some(*end)
            }));
            Prepared::parts(want, &[pairs[case.lengths.len()], spec.heads], pairs, move |part| {
                let qkv = qkv.slice(0, batch.rows(&part))?;
                backend.attention_weights(&qkv, &spec, &batch.part(backend, part)?)
            })
        }
        Op::Pool(pooling) => {
            let batch = random_batch(rng, &case.lengths, 1);
            let (x, view) = input(device_inputs, case, &[batch.tokens(), shape[0]], rng)?;
            let want = direct::pool(x.slice(), shape[0], batch.bounds(), pooling);
            let batch = Batch::place(device_inputs, batch, first, 1)?;
            Prepared::rows(want, &[case.lengths.len(), shape[0]], move |part| {
                backend.pool(&view.slice(0, batch.rows(&part))?, &batch.part(backend, part)?, pooling)
            })
        }
        Op::Embed(segments) => prepare_embed(device_inputs, case, segments, rng),
    }
}

/// What attention is given.
struct AttentionCase {
    batch: PackedBatch,
    qkv: Operand,
    spec: AttentionSpec,
    hidden: usize,
}

fn attention_case(rng: &mut Rng, case: &Case, scaling: Scaling, precision: Precision) -> AttentionCase {
    let [heads, head_size] = case.shape[..] else { unreachable!("heads have a count and a size") };
    let hidden = heads * head_size;
    let batch = random_batch(rng, &case.lengths, 1);
    let qkv = queries_keys_values(rng, batch.tokens(), hidden, case);
    let mut spec = AttentionSpec::new(heads, head_size, precision);
    if scaling == Scaling::Fixed {
        spec.scale = 0.125;
    }
    AttentionCase { batch, qkv, spec, hidden }
}

fn prepare_embed<'a, B: Backend>(
    device_inputs: &mut DeviceInputs<'a, B>,
    case: &Case,
    segments: Segments,
    rng: &mut Rng,
) -> Result<Prepared<'a, B>> {
    let backend = device_inputs.backend();
    let [vocab, hidden] = case.shape[..] else { unreachable!("a table has two extents") };
    let [layout, _] = case.layouts;
    let longest = case.lengths.iter().copied().max().expect("a batch has sequences");
    let batch = random_batch(rng, &case.lengths, vocab);
    let word = Operand::random(rng, &[vocab, hidden], layout, case.values);
    let position = Operand::random(rng, &[longest, hidden], layout, case.values);
    let token_type =
        (segments == Segments::With).then(|| Operand::random(rng, &[2, hidden], layout, case.values));
    let norm = Norm::random(rng, hidden, Layout::Plain);

    let mut sum = direct::gather(word.slice(), hidden, batch.ids());
    let mut add = |rows: Vec<f64>| sum.iter_mut().zip(rows).for_each(|(sum, x)| *sum += x);
    add(direct::gather(position.slice(), hidden, &positions(&batch)));
    if let Some(table) = &token_type {
        add(direct::gather(table.slice(), hidden, batch.segments()));
    }
    let want = norm.direct(&sum);

    let tables = EmbeddingTables {
        word: device_inputs.place("word table", &word)?,
        position: device_inputs.place("position table", &position)?,
        token_type: token_type.map(|table| device_inputs.place("segment table", &table)).transpose()?,
        norm: norm.place(device_inputs)?,
    };
    let batch = Batch::place(device_inputs, batch, layout, vocab)?;
    Prepared::parts(want, &[batch.tokens(), hidden], batch.bounds(), move |part| {
        backend.embed(&tables, &batch.part(backend, part)?)
    })
}

/// The first input, with the layout and the values of the case.
fn input<B: Backend>(
    device_inputs: &mut DeviceInputs<'_, B>,
    case: &Case,
    shape: &[usize],
    rng: &mut Rng,
) -> Result<(Operand, Tensor<B>)> {
    let operand = Operand::random(rng, shape, case.layouts[0], case.values);
    let view = device_inputs.place("x", &operand)?;
    Ok((operand, view))
}

fn parts_of(shape: &[usize], alone: bool) -> Vec<usize> {
    if alone { vec![0, shape[0]] } else { (0..=shape[0]).collect() }
}

fn random_ids(rng: &mut Rng, count: usize, below: usize) -> Vec<u32> {
    (0..count).map(|_| rng.u32(..below as u32)).collect()
}

/// An index that nobody should read: where the table has poison around it, it leads there.
fn poison(table: Layout, rows: usize) -> u32 {
    if matches!(table, Layout::Sliced | Layout::SlicedTransposed) { rows as u32 } else { 0 }
}

/// `[tokens, 3 * hidden]`. Peaked scores come from queries and keys of deviation 5: their products, divided
/// by the root of the head size, have deviation 25.
fn queries_keys_values(rng: &mut Rng, tokens: usize, hidden: usize, case: &Case) -> Operand {
    let scale = if case.values == Values::Peaked { 5.0 } else { 1.0 };
    let mut qkv = ArrayD::from_shape_simple_fn(IxDyn(&[tokens, 3 * hidden]), || normal(rng) as f32);
    qkv.slice_axis_mut(ndarray::Axis(1), (0..2 * hidden).into()).mapv_inplace(|x| x * scale);
    Operand::floats(qkv, case.layouts[0])
}

/// Sequences of random tokens, each of which changes from the first segment to the second somewhere.
pub fn random_batch(rng: &mut Rng, lengths: &[usize], vocab: usize) -> PackedBatch {
    let mut batch = PackedBatch::default();
    for &length in lengths {
        let second_segment = rng.usize(..=length);
        let segments: Vec<u32> = (0..length).map(|token| u32::from(token >= second_segment)).collect();
        batch.push(&random_ids(rng, length, vocab), &segments);
    }
    batch
}

/// Positions counted from 0 in each sequence.
fn positions(batch: &PackedBatch) -> Vec<u32> {
    let of = |rows: Range<usize>| Positions::FromZero.of(&batch.ids()[rows]).collect::<Vec<_>>();
    batch.sequence_rows().flat_map(of).collect()
}

/// The parameters of a LayerNorm on the host.
struct Norm {
    weight: Operand,
    bias: Operand,
}

/// The epsilon of all published BERT models.
const EPS: f64 = 1e-12;

impl Norm {
    fn random(rng: &mut Rng, hidden: usize, layout: Layout) -> Self {
        let mut vector = |mean: f32| {
            let values = ArrayD::from_shape_simple_fn(IxDyn(&[hidden]), || mean + 0.5 * normal(rng) as f32);
            Operand::floats(values, layout)
        };
        Self { weight: vector(1.0), bias: vector(0.0) }
    }

    fn direct(&self, x: &[f64]) -> Vec<f64> {
        direct::layer_norm(x, self.weight.slice(), self.bias.slice(), EPS)
    }

    fn place<B: Backend>(&self, device_inputs: &mut DeviceInputs<'_, B>) -> Result<LayerNorm<B::Buffer>> {
        let weight = device_inputs.place("norm weight", &self.weight)?;
        Ok(LayerNorm { weight, bias: device_inputs.place("norm bias", &self.bias)?, eps: EPS })
    }
}

/// A batch on the host and on a device.
struct Batch<B: Backend> {
    host: PackedBatch,
    device: DeviceBatch<B::Buffer>,
}

impl<B: Backend> Batch<B> {
    /// Places a batch, its index vectors inside larger blocks where the layout says so.
    fn place(
        device_inputs: &mut DeviceInputs<'_, B>,
        host: PackedBatch,
        layout: Layout,
        vocab: usize,
    ) -> Result<Self> {
        let sliced = if layout == Layout::Sliced { layout } else { Layout::Plain };
        let positions = positions(&host);
        let longest = positions.iter().max().map_or(0, |&last| last as usize + 1);
        let mut ids = |name: &str, ids: &[u32], poison: u32| {
            device_inputs.place(name, &Operand::ids(ids, sliced, poison))
        };
        let device = DeviceBatch {
            ids: ids("ids", host.ids(), poison(sliced, vocab))?,
            segments: ids("segments", host.segments(), poison(sliced, 2))?,
            positions: ids("positions", &positions, poison(sliced, longest))?,
            device_bounds: ids("bounds", host.bounds(), host.tokens() as u32)?,
            bounds: host.bounds().into(),
            marked: None,
        };
        Ok(Self { host, device })
    }

    fn tokens(&self) -> usize {
        self.host.tokens()
    }

    fn bounds(&self) -> Vec<usize> {
        self.host.bounds().iter().map(|&bound| bound as usize).collect()
    }

    /// The rows of some sequences.
    fn rows(&self, part: &Range<usize>) -> Range<usize> {
        self.host.bounds()[part.start] as usize..self.host.bounds()[part.end] as usize
    }

    /// Some sequences as a batch of their own.
    fn part(&self, backend: &B, part: Range<usize>) -> Result<DeviceBatch<B::Buffer>> {
        if part == (0..self.host.sequences()) {
            return Ok(self.device.clone());
        }
        let mut batch = PackedBatch::default();
        for sequence in part {
            let rows = self.host.sequence(sequence);
            batch.push(&self.host.ids()[rows.clone()], &self.host.segments()[rows]);
        }
        let upload = |ids: &[u32]| backend.upload(&HostTensor::from_vec(ids.to_vec(), [ids.len()]));
        Ok(DeviceBatch {
            ids: upload(batch.ids())?,
            segments: upload(batch.segments())?,
            positions: upload(&positions(&batch))?,
            device_bounds: upload(batch.bounds())?,
            bounds: batch.bounds().into(),
            marked: None,
        })
    }
}
