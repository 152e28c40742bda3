//! The directions of rows, for losses that compare these alone.

use crate::Result;
use crate::contract::{BinaryOp, ReduceOp, Tensor, UnaryOp};
use crate::train::TrainBackend;

/// Rows scaled to length 1.
pub(super) struct Units<B: TrainBackend> {
    pub directions: Tensor<B>,
    /// `[rows, hidden]`, a view.
    lengths: Tensor<B>,
}

impl<B: TrainBackend> Units<B> {
    /// What is added to the square of a length, so that a row of zeros has a direction, which is zero.
    const LEAST: f64 = 1e-24;

    pub fn new(backend: &B, x: &Tensor<B>) -> Result<Self> {
        let squares = backend.reduce(ReduceOp::Sum, &backend.zip(BinaryOp::Mul, x, x)?)?;
        let squares = backend.map(UnaryOp::Offset(Self::LEAST), &squares)?;
        let lengths = backend.map(UnaryOp::Sqrt, &squares)?.broadcast_to(x.shape())?;
        Ok(Self { directions: backend.zip(BinaryOp::Div, x, &lengths)?, lengths })
    }

    /// The gradient of the rows, given that of their directions: what is along a row does not change its direction.
    pub fn backward(&self, backend: &B, dy: &Tensor<B>) -> Result<Tensor<B>> {
        let along = backend.reduce(ReduceOp::Sum, &backend.zip(BinaryOp::Mul, dy, &self.directions)?)?;
        let along = backend.zip(BinaryOp::Mul, &self.directions, &along.broadcast_to(dy.shape())?)?;
        backend.zip(BinaryOp::Div, &backend.zip(BinaryOp::Sub, dy, &along)?, &self.lengths)
    }
}
