//! What a case is made of.

use std::fmt;

use bert_core::contract::{Activation, BinaryOp, Pooling, ReduceOp, UnaryOp};

use crate::compare::Scale;
use crate::data::{Layout, Values};

/// An operation of the `Backend` trait, and what [`Case::shape`] means for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// `upload`, then `download` of a view: any shape.
    Download,
    /// The same with ids: `[n]`.
    DownloadIds,
    /// `[rows, n]`
    GatherRows,
    /// `[.., m, k, n]`
    MatMul,
    /// Any shape.
    Map(UnaryOp),
    /// Any shape.
    Zip(BinaryOp),
    /// Any shape.
    Reduce(ReduceOp),
    /// `[rows, in_features, out_features]`
    Linear(Activation, Bias),
    /// The same, its weight prepared from the device, where it lies as the second layout says:
    /// `[rows, in_features, out_features]`
    LinearFromDevice,
    /// `[vocab_size, hidden]`
    Embed(Segments),
    /// `[rows, hidden]`
    LayerNorm,
    /// `[rows, hidden]`
    AddLayerNorm,
    /// `[heads, head_size]`
    Attention(Scaling),
    /// `[heads, head_size]`
    AttentionWeights(Scaling),
    /// `[hidden]`
    Concat,
    /// Any shape.
    Softmax,
    /// `[hidden]`
    Pool(Pooling),
}

/// Whether a linear layer has a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Bias {
    With,
    Without,
}

/// What attention multiplies products of queries and keys by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// One over the root of the head size.
    Usual,
    /// 0.125, whatever the head size.
    Fixed,
}

/// Whether a model has segment embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Segments {
    With,
    Without,
}

impl Op {
    /// The name by which tolerances and tables know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Download | Self::DownloadIds => "download",
            Self::GatherRows => "gather_rows",
            Self::MatMul => "matmul",
            Self::Map(op) => match op {
                UnaryOp::Copy => "map copy",
                UnaryOp::Cast(_) => "map cast",
                UnaryOp::Scale(_) => "map scale",
                UnaryOp::Offset(_) => "map offset",
                UnaryOp::Exp => "map exp",
                UnaryOp::Log => "map log",
                UnaryOp::Sqrt => "map sqrt",
                UnaryOp::Reciprocal => "map reciprocal",
                UnaryOp::Tanh => "map tanh",
                UnaryOp::Sigmoid => "map sigmoid",
                UnaryOp::Relu => "map relu",
                UnaryOp::Gelu => "map gelu",
                UnaryOp::GeluTanh => "map gelu_tanh",
            },
            Self::Zip(op) => match op {
                BinaryOp::Add => "zip add",
                BinaryOp::Sub => "zip sub",
                BinaryOp::Mul => "zip mul",
                BinaryOp::Div => "zip div",
                BinaryOp::Max => "zip max",
            },
            Self::Reduce(ReduceOp::Sum) => "reduce sum",
            Self::Reduce(ReduceOp::Max) => "reduce max",
            Self::Linear(..) | Self::LinearFromDevice => "linear",
            Self::Embed(_) => "embed",
            Self::LayerNorm => "layer_norm",
            Self::AddLayerNorm => "add_layer_norm",
            Self::Attention(_) => "attention",
            Self::AttentionWeights(_) => "attention_weights",
            Self::Concat => "concat",
            Self::Softmax => "softmax",
            Self::Pool(_) => "pool",
        }
    }

    /// What its errors are measured against.
    pub fn scale(self) -> Scale {
        match self {
            Self::Download
            | Self::DownloadIds
            | Self::GatherRows
            | Self::Map(_)
            | Self::Zip(_)
            | Self::Concat => Scale::Element,
            _ => Scale::Row,
        }
    }
}

/// One operation on one kind of input.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What is computed.
    pub op: Op,
    /// On what shape; see [`Op`].
    pub shape: Vec<usize>,
    /// The lengths of the sequences, for operations on batches.
    pub lengths: Vec<usize>,
    /// How the first and the second input lie in memory.
    pub layouts: [Layout; 2],
    /// What the first input holds, and the second where the operation is symmetric.
    pub values: Values,
}

impl Case {
    /// Normal numbers, row-major.
    pub fn new(op: Op, shape: impl Into<Vec<usize>>) -> Self {
        let layouts = [Layout::Plain; 2];
        Self { op, shape: shape.into(), lengths: vec![], layouts, values: Values::Normal }
    }

    /// The same on sequences of these lengths.
    pub fn lengths(self, lengths: &[usize]) -> Self {
        Self { lengths: lengths.to_vec(), ..self }
    }

    /// The same with the first input laid out like this.
    pub fn laid(self, layout: Layout) -> Self {
        Self { layouts: [layout, self.layouts[1]], ..self }
    }

    /// The same with both inputs laid out like this.
    pub fn both(self, first: Layout, second: Layout) -> Self {
        Self { layouts: [first, second], ..self }
    }

    /// The same with other numbers.
    pub fn values(self, values: Values) -> Self {
        Self { values, ..self }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.name())?;
        match self.op {
            Op::Linear(activation, bias) => {
                write!(f, " {} {} bias", format!("{activation:?}").to_lowercase(), lower(bias))?;
            }
            Op::Embed(segments) => write!(f, " {} segments", lower(segments))?,
            Op::Pool(pooling) => write!(f, " {}", lower(pooling))?,
            Op::Map(UnaryOp::Cast(dtype)) => write!(f, " to {dtype}")?,
            Op::DownloadIds => f.write_str(" ids")?,
            Op::LinearFromDevice => f.write_str(" from device")?,
            Op::Attention(Scaling::Fixed) | Op::AttentionWeights(Scaling::Fixed) => f.write_str(" scaled")?,
            _ => {}
        }
        write!(f, " {:?}", self.shape)?;
        if !self.lengths.is_empty() {
            let lengths: Vec<_> = self.lengths.iter().map(usize::to_string).collect();
            write!(f, " lengths {}", lengths.join(","))?;
        }
        let [first, second] = self.layouts;
        write!(f, " {first}")?;
        if second != Layout::Plain {
            write!(f, "|{second}")?;
        }
        write!(f, " {}", self.values)
    }
}

fn lower(word: impl fmt::Debug) -> String {
    format!("{word:?}").to_lowercase()
}
