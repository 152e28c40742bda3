//! Whether the cases see what they should: the reference with one small thing wrong at a time.

mod training;

use bert_core::Result;
use bert_core::contract::{
    Activation, AttentionSpec, Backend, BackendInfo, BinaryOp, DeviceBatch, EmbeddingTables, LayerNorm,
    Linear, MASKED, Pooling, Precision, ReduceOp, Tensor, UnaryOp, WeightSource,
};
use bert_core::reference::Reference;
use bert_core::tensor::{DType, HostTensor, View};
use half::f16;

use crate::compare::index_of;
use crate::suite::{Mode, Outcome, Plan, Verdict, run};

type Buffer = <Reference as Backend>::Buffer;

/// A mistake of the kind that is made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    /// To see that nothing else is wrong.
    Nothing,
    /// A view is read as if it were row-major from its first number on.
    StridesIgnored,
    /// A view is read from the start of its buffer.
    OffsetIgnored,
    /// The last stride but one is one too long, as with a row that is padded for alignment.
    StrideTooLong,
    /// Every index is one too high.
    NextRow,
    /// The last index is taken for the one before.
    LastIndexLost,
    /// The last few columns of a product, which fill no vector, are left out.
    ProductTailLost,
    /// The first row after a tile of 64 is taken for the last one of it.
    TileEdgeTwice,
    /// The last term of a long sum is left out.
    DepthTailLost,
    /// All matrices of a batch are multiplied by the first.
    BatchStrideZero,
    /// The maximum starts from zero.
    MaximumFromZero,
    /// `tanh` instead of `erf` in GELU.
    TanhForErf,
    /// A `tanh` of `exp`s that overflows.
    TanhOverflows,
    /// A bias is forgotten where an activation follows.
    BiasLost,
    /// The activation is forgotten.
    ActivationLost,
    /// A square weight is taken for its transpose.
    WeightTransposed,
    /// The last row of several is left out.
    LastRowLost,
    /// The activation comes before the bias.
    ActivationFirst,
    /// LayerNorm without its epsilon.
    EpsIgnored,
    /// The epsilon added to the deviation, not to the variance.
    EpsOutside,
    /// The variance as a difference of two means, in `f32`.
    OnePassVariance,
    /// The variance divided by one less.
    SampleVariance,
    /// The residual is forgotten.
    ResidualLost,
    /// The residual is forgotten where it is laid out in an odd way.
    OddResidualLost,
    /// `exp` without subtracting the maximum.
    SoftmaxOverflows,
    /// The maximum of the first row for all rows: right, as long as scores are flat.
    MaximumOfFirstRow,
    /// What is not a number is taken for the lowest one.
    NanLost,
    /// Sequences see each other.
    MaskLost,
    /// Each sequence sees its successor's first token.
    MaskOffByOne,
    /// The last token of a sequence is not seen.
    LastTokenLost,
    /// The scale of the description is not the usual one, and is not looked at.
    ScaleIgnored,
    /// A weight on the device is taken as it lies, whatever its strides say.
    DeviceWeightTransposed,
    /// Scores are not divided by the root of the head size.
    ScaleLost,
    /// Key and value change places.
    KeyForValue,
    /// One head of double the size for two.
    HeadsMerged,
    /// Positions begin with 1.
    PositionsShifted,
    /// Positions count on from one sequence to the next.
    PositionsRunOn,
    /// All tokens belong to the first segment.
    SegmentsLost,
    /// A mean over the longest length.
    MeanOverLongest,
    /// The last token for the first.
    LastForFirst,
    /// A result that depends, in its last bits, on how many rows there are.
    RowsMatter,
    /// Products cut to bfloat16.
    HalfPrecision,
    /// Sums kept in 16 bits.
    HalfSums,
    /// The same, of weights in 16 bits, where rounding is expected but not that much.
    HalfSumsOfHalves,
    /// Pairs of 8-bit products added in 16 bits, which saturate.
    PairsSaturate,
    /// One scale for all channels of an 8-bit weight, far wider than any needs.
    OneScale,
    /// Activations quantised by the scale of the first token.
    ScaleOfFirstToken,
    /// The gradient of a LayerNorm's input without what comes of the mean.
    MeanTermLost,
    /// The same, without what comes of the variance.
    VarianceTermLost,
    /// The same, as if the scale were 1.
    NormScaleLost,
    /// The gradient of a LayerNorm's scale from numbers that are not normalised.
    NormOfInput,
    /// The gradient of a softmax without what comes of its sum.
    DeltaLost,
    /// Nothing is dropped on the way back.
    DropoutLost,
    /// Every sequence and head drops what the first one does.
    OneMaskForAll,
    /// A sum is replaced by its last term.
    LastWriteWins,
    /// Targets are taken to add up to 1, those of rows that do not count, too.
    TotalOfOne,
    /// The smoothing of targets is not looked at.
    SmoothingIgnored,
    /// The gradient of a sum in place of that of a mean.
    SumForMean,
    /// A row that does not count is one of the first class.
    NoneIsClass,
    /// Moments are not corrected for having begun at 0.
    CorrectionForgotten,
    /// They are, at every step as at the first.
    CorrectionOfFirst,
    /// Decay is added to the gradient: Adam with L2 regularisation.
    DecayCoupled,
    /// The epsilon of a step lies inside of the root.
    EpsInside,
    /// Parameters decay that should not.
    AllDecays,
}

use Mistake::*;

#[derive(Clone)]
struct Mutant(Mistake);

impl Mutant {
    fn is(&self, mistake: Mistake) -> bool {
        self.0 == mistake
    }

    /// What the mistake makes of a view.
    fn read(&self, x: &View<Buffer>) -> View<Buffer> {
        if ![StridesIgnored, OffsetIgnored, StrideTooLong].contains(&self.0) {
            return x.clone();
        }
        let place = |position: usize| {
            let index = index_of(position, &x.shape());
            let strided: usize = index.iter().zip(x.strides()).map(|(i, stride)| i * stride).sum();
            match self.0 {
                StridesIgnored => x.offset() + position,
                StrideTooLong if index.len() > 1 => x.offset() + strided + index[index.len() - 2],
                StrideTooLong => x.offset() + strided,
                _ => strided,
            }
        };
        let buffer = x.buffer();
        let numbers = (0..x.shape().elements()).map(|position| buffer[place(position) % buffer.len()]);
        View::contiguous(numbers.collect(), x.dtype(), x.shape())
    }
}

impl Mutant {
    /// `x [rows, depth]` in 8 bits with a scale a row, times `weight [depth, columns]` with a scale a column.
    fn int8(&self, x: &View<Buffer>, weight: &View<Buffer>) -> Result<View<Buffer>> {
        let (x, columns) = (Reference.map(UnaryOp::Copy, x)?, weight.permute(&[1, 0])?);
        let weight = Reference.map(UnaryOp::Copy, &columns)?;
        let (n, depth) = (weight.shape()[0], weight.shape()[1]);
        let (x_scales, mut weight_scales) = (scales(&x), scales(&weight));
        if self.is(OneScale) {
            let widest = weight_scales.iter().copied().fold(0.0, f64::max);
            weight_scales.fill(4.0 * widest);
        }
        let x_scale = |row: usize| if self.is(ScaleOfFirstToken) { x_scales[0] } else { x_scales[row] };
        let quantised = |x: &View<Buffer>, scale: &dyn Fn(usize) -> f64| {
            edit(x, |i, x| (x / scale(i / depth)).round().clamp(-127.0, 127.0))
        };
        let (x, weight) = (quantised(&x, &x_scale)?, quantised(&weight, &|row| weight_scales[row])?);
        let sums = if self.is(PairsSaturate) {
            product(&x, &weight.permute(&[1, 0])?, |terms| {
                let mut sum = 0.0;
                while let Some((x, y)) = terms.next() {
                    let pair = x * y + terms.next().map_or(0.0, |(x, y)| x * y);
                    sum += pair.clamp(-16383.0, 16383.0); // half the range, as of unsigned activations
                }
                sum
            })?
        } else {
            Reference.matmul(&x, &weight.permute(&[1, 0])?)?
        };
        edit(&sums, |i, sum| sum * x_scale(i / n) * weight_scales[i % n])
    }
}

/// The 127th part of the largest magnitude of each row.
fn scales(x: &View<Buffer>) -> Vec<f64> {
    let rows = x.buffer().chunks(x.shape()[1]);
    rows.map(|row| row.iter().fold(1e-30f64, |max, x| max.max(x.abs())) / 127.0).collect()
}

/// Changes numbers of a row-major result, given their position.
fn edit(x: &View<Buffer>, change: impl Fn(usize, f64) -> f64) -> Result<View<Buffer>> {
    let row_major = Reference.map(UnaryOp::Copy, x)?;
    let numbers: Vec<f64> = row_major.buffer().iter().enumerate().map(|(i, &x)| change(i, x)).collect();
    Ok(View::contiguous(numbers.into(), x.dtype(), x.shape()))
}

/// Runs an operation on each sequence alone, as an override would, for sequences of these lengths.
fn each_sequence(
    x: &View<Buffer>,
    lengths: impl Iterator<Item = usize>,
    run: impl Fn(&View<Buffer>, &DeviceBatch<Buffer>) -> Result<View<Buffer>>,
) -> Result<View<Buffer>> {
    let (mut numbers, mut rows, mut columns, mut start) = (vec![], 0, 0, 0);
    for length in lengths {
        let ids = Reference.upload(&HostTensor::from_vec(vec![0u32; length], [length]))?;
        let bounds = [0, length as u32];
        let batch = DeviceBatch {
            ids: ids.clone(),
            segments: ids.clone(),
            positions: ids,
            device_bounds: Reference.upload(&HostTensor::from_vec(bounds.to_vec(), [2]))?,
            bounds: bounds.into(),
            marked: None,
        };
        let part = run(&x.slice(0, start..start + length)?, &batch)?;
        start += length;
        rows += part.shape()[0];
        columns = part.shape()[1];
        numbers.extend_from_slice(Reference.map(UnaryOp::Copy, &part)?.buffer());
    }
    Ok(View::contiguous(numbers.into(), DType::F32, [rows, columns]))
}

impl Backend for Mutant {
    type Buffer = Buffer;

    fn info(&self) -> BackendInfo {
        let precisions = vec![Precision::F32, Precision::F16, Precision::Int8];
        BackendInfo { precisions, ..Reference.info() }
    }

    /// The numbers as they are; `linear` rounds them.
    fn prepare_weight(&self, weight: WeightSource<'_, Buffer>, _: Precision) -> Result<Buffer> {
        match weight {
            WeightSource::Device(view) if self.is(DeviceWeightTransposed) => Ok(view.buffer().clone()),
            weight => Reference.prepare_weight(weight, Precision::F32),
        }
    }

    fn upload(&self, tensor: &HostTensor) -> Result<Tensor<Self>> {
        Reference.upload(tensor)
    }

    async fn download(&self, tensors: &[Tensor<Self>]) -> Result<Vec<HostTensor>> {
        let tensors: Vec<_> = tensors.iter().map(|tensor| self.read(tensor)).collect();
        Reference.download(&tensors).await
    }

    fn gather_rows(&self, table: &Tensor<Self>, indices: &Tensor<Self>) -> Result<Tensor<Self>> {
        let (rows, last) = (table.shape()[0] as f64, indices.shape()[0] - 1);
        let indices = edit(&self.read(indices), |i, index| match self.0 {
            NextRow => (index + 1.0).min(rows - 1.0),
            LastIndexLost if i == last => 0.0,
            // Poison that a mistake has read must not stop the reference.
            _ => index.min(rows - 1.0),
        })?;
        Reference.gather_rows(&self.read(table), &indices)
    }

    fn matmul(&self, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        let (a, mut b) = (self.read(a), self.read(b));
        let (depth, columns) = (a.shape()[a.shape().rank() - 1], b.shape()[b.shape().rank() - 1]);
        if self.is(BatchStrideZero) && b.shape().rank() > 2 {
            b = b.slice(0, 0..1)?.broadcast_to(b.shape())?;
        }
        let last = |axis: usize, view: &View<Buffer>| view.slice(axis, 0..depth - 1);
        if self.is(DepthTailLost) && depth % 8 == 1 && depth > 1 {
            let rank = a.shape().rank();
            return Reference.matmul(&last(rank - 1, &a)?, &last(rank - 2, &b)?);
        }
        if self.is(HalfSums) {
            return half_sums(&a, &b);
        }
        let product = Reference.matmul(&a, &b)?;
        let rows = product.shape()[0] as f64;
        match self.0 {
            ProductTailLost => {
                edit(&product, |i, x| if i % columns >= columns / 16 * 16 && columns > 16 { 0.0 } else { x })
            }
            TileEdgeTwice if product.shape().rank() == 2 => {
                let edge = 64 * columns;
                let numbers = product.buffer().clone();
                edit(
                    &product,
                    |i, x| if (edge..edge + columns).contains(&i) { numbers[i - columns] } else { x },
                )
            }
            RowsMatter => edit(&product, |_, x| x * (1.0 + rows * f64::EPSILON)),
            HalfPrecision => {
                edit(&product, |_, x| f64::from(f32::from_bits((x as f32).to_bits() & 0xffff_0000)))
            }
            _ => Ok(product),
        }
    }

    fn map(&self, op: UnaryOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        let x = self.read(x);
        match op {
            UnaryOp::Gelu if self.is(TanhForErf) => Reference.map(UnaryOp::GeluTanh, &x),
            UnaryOp::Tanh if self.is(TanhOverflows) => edit(&x, |_, x| {
                let (up, down) = ((x as f32).exp(), (-x as f32).exp());
                f64::from((up - down) / (up + down))
            }),
            _ => Reference.map(op, &x),
        }
    }

    fn zip(&self, op: BinaryOp, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        Reference.zip(op, &self.read(a), &self.read(b))
    }

    fn reduce(&self, op: ReduceOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        let row = Reference.reduce(op, &self.read(x))?;
        if self.is(MaximumFromZero) && op == ReduceOp::Max { edit(&row, |_, x| x.max(0.0)) } else { Ok(row) }
    }

    fn linear(
        &self,
        x: &Tensor<Self>,
        layer: &Linear<Buffer>,
        activation: Activation,
    ) -> Result<Tensor<Self>> {
        let plain = Linear { bias: None, ..layer.clone() };
        let shape = [layer.out_features, layer.in_features];
        let weight = View::contiguous(layer.weight.clone(), DType::F32, shape).permute(&[1, 0])?;
        let product = match layer.precision {
            Precision::Int8 => self.int8(x, &weight)?,
            Precision::F16 => {
                let half = |_: usize, x: f64| f16::from_f64(x).to_f64();
                let (x, weight) = (edit(x, half)?, edit(&weight, half)?);
                if self.is(HalfSumsOfHalves) {
                    half_sums(&x, &weight)?
                } else {
                    Reference.matmul(&x, &weight)?
                }
            }
            _ if self.is(WeightTransposed) && shape[0] == shape[1] => {
                self.matmul(x, &weight.permute(&[1, 0])?)?
            }
            _ => self.matmul(x, &weight)?,
        };
        let exact = layer.precision == Precision::F32;
        let y = match (&layer.bias, self.0) {
            (Some(_), BiasLost) if activation != Activation::Identity => product,
            (Some(bias), ActivationFirst) if exact => {
                let y = Reference.linear(x, &plain, activation)?;
                return Reference.zip(BinaryOp::Add, &y, &bias.broadcast_to(y.shape())?);
            }
            (Some(bias), _) => self.zip(BinaryOp::Add, &product, &bias.broadcast_to(product.shape())?)?,
            (None, _) => product,
        };
        let y = match activation.as_unary() {
            Some(op) if !self.is(ActivationLost) => self.map(op, &y)?,
            _ => y,
        };
        let last = (y.shape()[0] - 1) * layer.out_features;
        if self.is(LastRowLost) && last > 0 { edit(&y, |i, x| if i < last { x } else { 0.0 }) } else { Ok(y) }
    }

    fn embed(&self, tables: &EmbeddingTables<Buffer>, batch: &DeviceBatch<Buffer>) -> Result<Tensor<Self>> {
        let last = tables.position.shape()[0] as f64 - 1.0;
        let mut batch = batch.clone();
        match self.0 {
            PositionsShifted => batch.positions = edit(&batch.positions, |_, x| last.min(x + 1.0))?,
            PositionsRunOn => batch.positions = edit(&batch.positions, |i, _| last.min(i as f64))?,
            SegmentsLost => batch.segments = edit(&batch.segments, |_, _| 0.0)?,
            _ => {}
        }
        Reference.embed(tables, &batch)
    }

    fn layer_norm(&self, x: &Tensor<Self>, norm: &LayerNorm<Buffer>) -> Result<Tensor<Self>> {
        let n = x.shape()[1] as f64;
        match self.0 {
            EpsIgnored => Reference.layer_norm(x, &LayerNorm { eps: 0.0, ..norm.clone() }),
            EpsOutside => Reference.layer_norm(x, &LayerNorm { eps: norm.eps.powi(2), ..norm.clone() }),
            SampleVariance if n > 1.0 => {
                let shift = norm.bias.broadcast_to(x.shape())?;
                let normal = Reference.zip(BinaryOp::Sub, &Reference.layer_norm(x, norm)?, &shift)?;
                let normal = Reference.map(UnaryOp::Scale(((n - 1.0) / n).sqrt()), &normal)?;
                Reference.zip(BinaryOp::Add, &normal, &shift)
            }
            OnePassVariance => {
                let row_major = Reference.map(UnaryOp::Copy, x)?;
                let rows = row_major.buffer().chunks(n as usize).flat_map(|row| {
                    let sum = |of: fn(f32) -> f32| row.iter().map(|&x| of(x as f32)).sum::<f32>() / n as f32;
                    let (mean, square) = (sum(|x| x), sum(|x| x * x));
                    let deviation = (square - mean * mean + norm.eps as f32).sqrt();
                    row.iter().map(move |&x| f64::from((x as f32 - mean) / deviation))
                });
                let normal = View::contiguous(rows.collect(), DType::F32, x.shape());
                let scaled = Reference.zip(BinaryOp::Mul, &normal, &norm.weight.broadcast_to(x.shape())?)?;
                Reference.zip(BinaryOp::Add, &scaled, &norm.bias.broadcast_to(x.shape())?)
            }
            _ => Reference.layer_norm(x, norm),
        }
    }

    fn add_layer_norm(
        &self,
        x: &Tensor<Self>,
        residual: &Tensor<Self>,
        norm: &LayerNorm<Buffer>,
    ) -> Result<Tensor<Self>> {
        if self.is(ResidualLost) || self.is(OddResidualLost) && !residual.is_contiguous() {
            return Reference.layer_norm(x, norm);
        }
        Reference.add_layer_norm(x, residual, norm)
    }

    fn attention(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<Buffer>,
    ) -> Result<Tensor<Self>> {
        if spec.dropout.is_some() {
            // Sequences are run one by one below, where each would drop what the first one does.
            return Reference.attention(qkv, spec, batch);
        }
        let mut spec = *spec;
        let hidden = spec.heads * spec.head_size;
        let mut lengths: Vec<usize> = batch.lengths().collect();
        let mut qkv = Reference.map(UnaryOp::Copy, qkv)?;
        match self.0 {
            MaskLost => lengths = vec![batch.tokens()],
            MaskOffByOne if lengths.len() > 1 && lengths[1] > 1 => {
                lengths[0] += 1;
                lengths[1] -= 1;
            }
            ScaleLost => {
                spec.scale = 1.0;
            }
            ScaleIgnored => spec.scale = (spec.head_size as f64).sqrt().recip(),
            KeyForValue => {
                let numbers = qkv.buffer().clone();
                qkv = edit(&qkv, |i, x| match i % (3 * hidden) / hidden {
                    0 => x,
                    1 => numbers[i + hidden],
                    _ => numbers[i - hidden],
                })?;
            }
            HeadsMerged if spec.heads == 2 => {
                spec.heads = 1;
                spec.head_size = hidden;
            }
            _ => {}
        }
        each_sequence(&qkv, lengths.into_iter(), |qkv, batch| {
            if self.is(LastTokenLost) && batch.tokens() > 1 {
                // The one before it is seen twice.
                let last = (batch.tokens() - 1) * 3 * hidden;
                let numbers = qkv.buffer().clone();
                let unseen = edit(qkv, |i, x| {
                    let is_query = i % (3 * hidden) < hidden;
                    if i >= last && !is_query { numbers[i - 3 * hidden] } else { x }
                })?;
                return Reference.attention(&unseen, &spec, batch);
            }
            Reference.attention(qkv, &spec, batch)
        })
    }

    fn attention_weights(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<Buffer>,
    ) -> Result<Tensor<Self>> {
        let mut spec = *spec;
        if self.is(ScaleLost) {
            spec.scale = 1.0;
        }
        let weights = Reference.attention_weights(qkv, &spec, batch)?;
        if !self.is(KeyForValue) || batch.sequences() > 1 {
            return Ok(weights);
        }
        // Keys that look at queries.
        let (length, heads) = (batch.tokens(), spec.heads);
        let numbers = weights.buffer().clone();
        edit(&weights, |i, _| {
            let (query, key, head) = (i / heads / length, i / heads % length, i % heads);
            numbers[(key * length + query) * heads + head]
        })
    }

    fn concat(&self, parts: &[Tensor<Self>]) -> Result<Tensor<Self>> {
        let joined = Reference.concat(parts)?;
        let kept = joined.shape().elements() - joined.shape()[1];
        if self.is(LastTokenLost) && parts.len() > 1 {
            return edit(&joined, |i, x| if i < kept { x } else { 0.0 });
        }
        Ok(joined)
    }

    fn softmax(&self, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        let exp = |x: f64| f64::from((x as f32).exp());
        let of = |max: f64| -> Result<Tensor<Self>> {
            let powers = edit(x, |_, x| exp(x - max))?;
            let sums = Reference.reduce(ReduceOp::Sum, &powers)?.broadcast_to(x.shape())?;
            Reference.zip(BinaryOp::Div, &powers, &sums)
        };
        match self.0 {
            SoftmaxOverflows => of(0.0),
            NanLost => Reference.softmax(&edit(x, |_, x| if x.is_nan() { f64::from(MASKED) } else { x })?),
            MaximumOfFirstRow => of(Reference.reduce(ReduceOp::Max, x)?.buffer()[0]),
            _ => Reference.softmax(x),
        }
    }

    fn pool(&self, x: &Tensor<Self>, batch: &DeviceBatch<Buffer>, pooling: Pooling) -> Result<Tensor<Self>> {
        let pooled = each_sequence(x, batch.lengths(), |x, batch| Reference.pool(x, batch, pooling))?;
        let hidden = x.shape()[1];
        let lengths: Vec<usize> = batch.lengths().collect();
        let longest = *lengths.iter().max().expect("a batch has sequences") as f64;
        match (self.0, pooling) {
            (MeanOverLongest, Pooling::Mean) => {
                edit(&pooled, |i, x| x * lengths[i / hidden] as f64 / longest)
            }
            (LastTokenLost, Pooling::Mean | Pooling::MeanSqrtLen) => {
                each_sequence(x, lengths.iter().copied(), |x, _| {
                    let seen = x.shape()[0].saturating_sub(1).max(1);
                    each_sequence(&x.slice(0, 0..seen)?, [seen].into_iter(), |x, batch| {
                        Reference.pool(x, batch, pooling)
                    })
                })
            }
            (LastForFirst, Pooling::Cls) => {
                let last: Vec<u32> = batch.bounds[1..].iter().map(|&bound| bound - 1).collect();
                let last = Reference.upload(&HostTensor::from_vec(last, [lengths.len()]))?;
                Reference.gather_rows(x, &last)
            }
            _ => Ok(pooled),
        }
    }
}

/// Rows of a product of two matrices, row-major.
fn product(
    a: &View<Buffer>,
    b: &View<Buffer>,
    dot: impl Fn(&mut dyn Iterator<Item = (f64, f64)>) -> f64,
) -> Result<View<Buffer>> {
    let (a, b) = (Reference.map(UnaryOp::Copy, a)?, Reference.map(UnaryOp::Copy, b)?);
    let (rows, depth, columns) = (a.shape()[0], a.shape()[1], b.shape()[1]);
    let numbers = (0..rows * columns).map(|i| {
        let (row, column) = (i / columns, i % columns);
        dot(&mut (0..depth).map(|k| (a.buffer()[row * depth + k], b.buffer()[k * columns + column])))
    });
    Ok(View::contiguous(numbers.collect(), DType::F32, [rows, columns]))
}

/// A product whose sums are rounded to 16 bits after every term; of matrices only.
fn half_sums(a: &View<Buffer>, b: &View<Buffer>) -> Result<View<Buffer>> {
    if a.shape().rank() > 2 {
        return Reference.matmul(a, b);
    }
    product(a, b, |terms| terms.fold(f16::ZERO, |sum, (x, y)| f16::from_f64(sum.to_f64() + x * y)).to_f64())
}

/// Every mistake, and the operation whose cases have to see it.
const SEEN_BY: &[(Mistake, &str)] = &[
    (StridesIgnored, "download"),
    (StridesIgnored, "gather_rows"),
    (StridesIgnored, "matmul"),
    (StridesIgnored, "map copy"),
    (StridesIgnored, "zip sub"),
    (StridesIgnored, "reduce sum"),
    (StrideTooLong, "download"),
    (StrideTooLong, "gather_rows"),
    (StrideTooLong, "matmul"),
    (StrideTooLong, "map copy"),
    (StrideTooLong, "zip sub"),
    (StrideTooLong, "reduce sum"),
    (OffsetIgnored, "download"),
    (OffsetIgnored, "gather_rows"),
    (OffsetIgnored, "matmul"),
    (OffsetIgnored, "map copy"),
    (OffsetIgnored, "zip sub"),
    (OffsetIgnored, "reduce max"),
    (NextRow, "gather_rows"),
    (LastIndexLost, "gather_rows"),
    (ProductTailLost, "matmul"),
    (ProductTailLost, "linear"),
    (TileEdgeTwice, "matmul"),
    (TileEdgeTwice, "linear"),
    (DepthTailLost, "matmul"),
    (BatchStrideZero, "matmul"),
    (MaximumFromZero, "reduce max"),
    (TanhForErf, "map gelu"),
    (TanhForErf, "linear"),
    (TanhOverflows, "map tanh"),
    (BiasLost, "linear"),
    (ActivationLost, "linear"),
    (WeightTransposed, "linear"),
    (LastRowLost, "linear"),
    (ActivationFirst, "linear"),
    (EpsIgnored, "layer_norm"),
    (EpsOutside, "layer_norm"),
    (OnePassVariance, "layer_norm"),
    (SampleVariance, "layer_norm"),
    (ResidualLost, "add_layer_norm"),
    (OddResidualLost, "add_layer_norm"),
    (SoftmaxOverflows, "softmax"),
    (MaximumOfFirstRow, "softmax"),
    (NanLost, "softmax"),
    (MaskLost, "attention"),
    (MaskOffByOne, "attention"),
    (LastTokenLost, "attention"),
    (ScaleLost, "attention"),
    (KeyForValue, "attention"),
    (HeadsMerged, "attention"),
    (ScaleLost, "attention_weights"),
    (KeyForValue, "attention_weights"),
    (PositionsShifted, "embed"),
    (PositionsRunOn, "embed"),
    (SegmentsLost, "embed"),
    (LastTokenLost, "concat"),
    (ScaleIgnored, "attention"),
    (DeviceWeightTransposed, "linear"),
    (MeanOverLongest, "pool"),
    (LastTokenLost, "pool"),
    (LastForFirst, "pool"),
    (RowsMatter, "matmul"),
    (RowsMatter, "linear"),
    (HalfPrecision, "matmul"),
    (HalfPrecision, "linear"),
    (HalfSums, "matmul"),
    (HalfSums, "linear"),
    (HalfSumsOfHalves, "linear"),
    (PairsSaturate, "linear"),
    (OneScale, "linear"),
    (ScaleOfFirstToken, "linear"),
];

fn run_with(mistake: Mistake, filter: &str) -> Vec<Verdict> {
    let modes = vec![Mode::Ops, Mode::Fused];
    let plan = Plan { modes, filter: filter.to_owned(), most_work: 50_000, ..Plan::all(7) };
    run("mutant", &Mutant(mistake), &[], &plan)
}

#[test]
fn nothing_is_wrong_without_a_mistake() {
    let wrong: Vec<_> = run_with(Nothing, "").into_iter().filter(Verdict::is_error).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_mistake_is_seen_where_it_is_made() {
    for &(mistake, operation) in SEEN_BY {
        let verdicts = run_with(mistake, operation);
        let seen = verdicts.iter().any(|verdict| verdict.operation == operation && verdict.is_error());
        assert!(seen, "{mistake:?} passes all cases of {operation}");
    }
}

#[test]
fn a_failure_tells_what_is_needed_to_find_it() {
    let verdicts = run_with(StridesIgnored, "zip sub [3, 17] transposed|sliced");
    let Outcome::Failed(text) = &verdicts[0].outcome else { panic!("{verdicts:?}") };
    for part in ["the first at [0, 1]", "max abs", "NMSE", "x f32 [3, 17] strides [1, 3] offset 0"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}
