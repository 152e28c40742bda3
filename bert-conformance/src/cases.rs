//! The cases. Add one by adding a line.

use std::collections::HashSet;

use bert_core::contract::{Activation, BinaryOp, Pooling, ReduceOp, UnaryOp};
use bert_core::tensor::DType;

use crate::case::{Bias, Case, Op, Scaling, Segments};
use crate::data::Layout::{self, *};
use crate::data::Values::*;

/// Extents around the widths of vectors, tiles and workgroups.
const SIZES: [usize; 7] = [1, 3, 17, 63, 64, 65, 257];

/// The eight required methods.
pub fn required() -> Vec<Case> {
    let mut cases = vec![Case::new(Op::DownloadIds, [257]), Case::new(Op::DownloadIds, [5]).laid(Sliced)];
    for shape in SHAPES {
        for layout in Layout::of_rank(shape.len()) {
            cases.push(Case::new(Op::Download, *shape).laid(layout));
            cases.push(Case::new(Op::Map(UnaryOp::Copy), *shape).laid(layout).values(Wide));
            cases.push(Case::new(Op::Map(UnaryOp::Exp), *shape).laid(layout));
            for second in Layout::of_rank(shape.len()) {
                cases.push(Case::new(Op::Zip(BinaryOp::Sub), *shape).both(layout, second));
            }
            for op in [ReduceOp::Sum, ReduceOp::Max] {
                cases.push(Case::new(Op::Reduce(op), *shape).laid(layout));
            }
        }
    }

    for n in SIZES {
        cases.push(Case::new(Op::GatherRows, [5, n]));
        cases.push(Case::new(Op::GatherRows, [n, 7]).both(Sliced, Sliced));
        for layout in [Transposed, SlicedTransposed, RepeatedRows, RepeatedColumns] {
            cases.push(Case::new(Op::GatherRows, [3, n]).laid(layout));
        }
    }

    for n in SIZES {
        let shapes = [[n, 65, 17], [17, n, 65], [65, 17, n], [n, n, n], [1, n, 64], [1, 64, n], [n, 1, 1]];
        cases.extend(shapes.map(|shape| Case::new(Op::MatMul, shape)));
        cases.push(Case::new(Op::MatMul, [2, 3, n, 17, 5]).both(Interleaved, Interleaved));
        cases.push(Case::new(Op::MatMul, [2, 3, 5, n, 17]).both(Interleaved, SlicedTransposed));
    }
    for first in Layout::of_rank(2) {
        for second in Layout::of_rank(2) {
            cases.push(Case::new(Op::MatMul, [17, 65, 63]).both(first, second));
        }
    }
    for first in Layout::of_rank(4) {
        for second in Layout::of_rank(4) {
            cases.push(Case::new(Op::MatMul, [2, 3, 5, 17, 9]).both(first, second));
        }
    }
    cases.push(Case::new(Op::MatMul, [3, 3072, 5]));
    cases.push(Case::new(Op::MatMul, [65, 257, 33]).values(Offset));
    cases.push(Case::new(Op::MatMul, [17, 64, 33]).values(Small));

    for n in SIZES {
        cases.push(Case::new(Op::Map(UnaryOp::Cast(DType::U32)), [3, n]).values(Whole));
        let everywhere = [
            UnaryOp::Copy,
            UnaryOp::Scale(0.125),
            UnaryOp::Scale(-3.7),
            UnaryOp::Offset(1e-12),
            UnaryOp::Offset(-2.5),
            UnaryOp::Tanh,
            UnaryOp::Sigmoid,
            UnaryOp::Relu,
            UnaryOp::Gelu,
            UnaryOp::GeluTanh,
        ];
        for op in everywhere {
            for values in [Normal, Peaked, Wide] {
                cases.push(Case::new(Op::Map(op), [3, n]).values(values));
            }
        }
        cases.push(Case::new(Op::Map(UnaryOp::Exp), [3, n]).values(Exponents));
        cases.push(Case::new(Op::Map(UnaryOp::Exp), [3, n]).values(Masked));
        for op in [UnaryOp::Log, UnaryOp::Sqrt, UnaryOp::Reciprocal] {
            cases.push(Case::new(Op::Map(op), [3, n]).values(Positive));
        }
        cases.push(Case::new(Op::Map(UnaryOp::Reciprocal), [3, n]).values(Negative));

        for op in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Max] {
            for values in [Normal, Wide] {
                cases.push(Case::new(Op::Zip(op), [3, n]).values(values));
            }
            cases.push(Case::new(Op::Zip(op), [3, n]).both(Plain, RepeatedRows));
            cases.push(Case::new(Op::Zip(op), [n, 3]).both(RepeatedColumns, Plain));
        }
        for values in [Normal, Offset, Masked] {
            cases.push(Case::new(Op::Reduce(ReduceOp::Sum), [3, n]).values(values));
        }
        for values in [Normal, Negative, Masked, Wide] {
            cases.push(Case::new(Op::Reduce(ReduceOp::Max), [3, n]).values(values));
        }
    }
    for op in [ReduceOp::Sum, ReduceOp::Max] {
        cases.push(Case::new(Op::Reduce(op), [2, 5_000]));
        cases.push(Case::new(Op::Reduce(op), [20_000, 2]).values(Negative));
    }
    distinct(cases)
}

/// Of every rank, none a multiple of anything.
const SHAPES: &[&[usize]] = &[&[17], &[3, 17], &[5, 3, 7], &[2, 3, 5, 7]];

/// A row of three numbers near 1000 can be almost constant by chance: what is normal about it is then lost
/// in `f32`, however it is computed.
const WIDE_ENOUGH: usize = 17;

/// The provided operations.
pub fn provided() -> Vec<Case> {
    let mut cases = vec![];
    let activations =
        [Activation::Identity, Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Tanh];
    for activation in activations {
        for bias in [Bias::With, Bias::Without] {
            cases.push(Case::new(Op::Linear(activation, bias), [17, 65, 63]));
        }
        cases.push(Case::new(Op::Linear(activation, Bias::With), [3, 17, 257]).values(Peaked));
    }
    let linear = Op::Linear(Activation::Gelu, Bias::With);
    for n in SIZES {
        let shapes = [[n, 65, 17], [17, n, 65], [65, 17, n], [n, n, n], [1, 64, n], [n, 1, 3]];
        cases.extend(shapes.map(|shape| Case::new(linear, shape)));
    }
    for layout in Layout::of_rank(2) {
        cases.push(Case::new(linear, [17, 65, 63]).both(layout, Sliced));
    }
    cases.push(Case::new(linear, [3, 3072, 17]));
    cases.push(Case::new(Op::Linear(Activation::Identity, Bias::With), [65, 257, 17]).values(Offset));
    // A broken model must not look healthy.
    cases.push(Case::new(linear, [17, 65, 63]).values(Holed));
    for op in [Op::LayerNorm, Op::AddLayerNorm] {
        cases.push(Case::new(op, [17, 65]).values(Holed));
    }

    for n in SIZES.into_iter().chain([384, 768, 1024]) {
        for op in [Op::LayerNorm, Op::AddLayerNorm] {
            for values in [Normal, Small, Peaked] {
                cases.push(Case::new(op, [5, n]).values(values));
            }
            if n >= WIDE_ENOUGH {
                cases.push(Case::new(op, [5, n]).values(Offset));
            }
            cases.push(Case::new(op, [n.min(65), 65]).both(Sliced, Sliced));
        }
        for values in [Normal, Offset, Peaked, Masked, Holed] {
            cases.push(Case::new(Op::Softmax, [5, n]).values(values));
        }
    }
    for op in [Op::LayerNorm, Op::AddLayerNorm] {
        for layout in [Transposed, SlicedTransposed, RepeatedRows] {
            cases.push(Case::new(op, [17, 65]).laid(layout));
        }
    }
    cases.push(Case::new(Op::AddLayerNorm, [17, 65]).both(Plain, RepeatedRows));
    for shape in SHAPES {
        for layout in Layout::of_rank(shape.len()) {
            cases.push(Case::new(Op::Softmax, *shape).laid(layout));
        }
    }

    for hidden in SIZES.into_iter().chain([768]) {
        for segments in [Segments::With, Segments::Without] {
            cases.push(Case::new(Op::Embed(segments), [97, hidden]).lengths(&[1, 17, 3]));
            if hidden >= WIDE_ENOUGH {
                cases.push(Case::new(Op::Embed(segments), [97, hidden]).lengths(&[5]).values(Offset));
            }
        }
    }
    for layout in [Sliced, Transposed, SlicedTransposed] {
        cases.push(Case::new(Op::Embed(Segments::With), [63, 65]).lengths(&[1, 63, 1, 17]).laid(layout));
    }

    for layout in Layout::of_rank(2) {
        cases.push(Case::new(Op::LinearFromDevice, [17, 65, 63]).both(Plain, layout));
    }
    for n in SIZES {
        cases.push(Case::new(Op::LinearFromDevice, [3, n, 33]).both(Plain, Transposed));
    }

    let attention = Op::Attention(Scaling::Usual);
    for values in [Normal, Peaked] {
        for lengths in BATCHES {
            for shape in [[1, 1], [2, 3], [3, 17], [2, 32], [1, 65], [2, 64]] {
                cases.push(Case::new(attention, shape).lengths(lengths).values(values));
            }
        }
        for layout in Layout::of_rank(2) {
            let case = Case::new(attention, [2, 17]).lengths(&[3, 1, 65]);
            cases.push(case.laid(layout).values(values));
        }
        cases.push(Case::new(attention, [12, 64]).lengths(&[1, 33]).values(values));
        cases.push(Case::new(attention, [1, 64]).lengths(&[512, 1]).values(values));
        cases.push(Case::new(Op::Attention(Scaling::Fixed), [3, 17]).lengths(&[3, 1, 17]).values(values));
    }
    let weights = Op::AttentionWeights(Scaling::Usual);
    for values in [Normal, Peaked] {
        for lengths in BATCHES {
            for shape in [[1, 1], [3, 17], [2, 32]] {
                cases.push(Case::new(weights, shape).lengths(lengths).values(values));
            }
        }
        for layout in Layout::of_rank(2) {
            cases.push(Case::new(weights, [2, 17]).lengths(&[3, 1, 65]).laid(layout).values(values));
        }
        cases.push(Case::new(weights, [12, 64]).lengths(&[1, 33]).values(values));
        let fixed = Op::AttentionWeights(Scaling::Fixed);
        cases.push(Case::new(fixed, [3, 17]).lengths(&[3, 1, 17]).values(values));
    }

    for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Max, Pooling::MeanSqrtLen] {
        for lengths in BATCHES {
            for hidden in [1, 17, 64, 257] {
                cases.push(Case::new(Op::Pool(pooling), [hidden]).lengths(lengths));
            }
            cases.push(Case::new(Op::Pool(pooling), [65]).lengths(lengths).values(Negative));
        }
        for layout in [Sliced, Transposed, SlicedTransposed, RepeatedColumns] {
            cases.push(Case::new(Op::Pool(pooling), [65]).lengths(&[3, 1, 17]).laid(layout));
        }
    }
    for lengths in BATCHES {
        for hidden in [1, 17, 64] {
            cases.push(Case::new(Op::Concat, [hidden]).lengths(lengths).values(Wide));
        }
    }
    for layout in Layout::of_rank(2) {
        cases.push(Case::new(Op::Concat, [65]).lengths(&[3, 1, 17]).laid(layout));
    }
    distinct(cases)
}

/// Lengths of sequences: alone, all short, ragged, around the widths of vectors.
const BATCHES: &[&[usize]] = &[&[1], &[17], &[1, 1, 1], &[3, 1, 17, 2], &[63, 64, 65], &[257, 1, 3]];

/// Loops over sizes meet some cases twice.
fn distinct(mut cases: Vec<Case>) -> Vec<Case> {
    let mut names = HashSet::new();
    cases.retain(|case| names.insert(case.to_string()));
    cases
}
