//! Rows of strided tensors: how kernels that want slices get them from views.

use bert_core::contract::ReduceOp;
use bert_core::tensor::View;

use super::norm;
use crate::simd::{Simd, dispatch};

dispatch! {
    /// The sum or the maximum of a row.
    pub(crate) fn reduce(op: ReduceOp, row: &[f32]) -> f32 = reduce_generic;
}

#[inline(always)]
fn reduce_generic<S: Simd>(s: S, op: ReduceOp, row: &[f32]) -> f32 {
    match op {
        ReduceOp::Sum => norm::sum(s, row),
        ReduceOp::Max => norm::largest(s, row),
    }
}

/// Numbers that are read at a time where they do not lie side by side.
pub(crate) const CHUNK: usize = 512;

/// A strided tensor as `count` rows of `length` numbers.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    data: &'a [T],
    shape: [usize; 3],
    strides: [usize; 3],
    pub length: usize,
    step: usize,
}

impl<'a, T: Copy> Rows<'a, T> {
    /// The rows of a view, along its last axis. `data` is its whole buffer.
    pub fn new<B: Clone>(view: &View<B>, data: &'a [T]) -> Self {
        let rank = view.shape().rank();
        let (mut shape, mut strides) = ([1; 3], [0; 3]);
        for (i, axis) in (0..rank.saturating_sub(1)).rev().enumerate() {
            shape[2 - i] = view.shape()[axis];
            strides[2 - i] = view.strides()[axis];
        }
        let (length, step) = match rank {
            0 => (1, 1),
            _ => (view.shape()[rank - 1], view.strides()[rank - 1]),
        };
        Self { data: &data[view.offset()..], shape, strides, length, step }
    }

    /// The same numbers as one long row, if they lie side by side.
    pub fn joined<B: Clone>(view: &View<B>, data: &'a [T]) -> Self {
        let rows = Self::new(view, data);
        match view.is_contiguous() {
            true => Self { shape: [1; 3], length: view.shape().elements(), step: 1, ..rows },
            false => rows,
        }
    }

    /// All numbers from the first one on.
    pub fn data(&self) -> &'a [T] {
        self.data
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Where a row starts.
    pub fn start(&self, row: usize) -> usize {
        let [_, middle, inner] = self.shape;
        let index = [row / inner / middle, row / inner % middle, row % inner];
        index.iter().zip(self.strides).map(|(i, stride)| i * stride).sum()
    }

    /// Whether rows can be read without a copy.
    pub fn is_dense(&self) -> bool {
        self.step == 1 || self.length == 1
    }

    /// How much of a row to take at a time: all where it is dense, else what a copy of [`CHUNK`] holds.
    pub fn chunk(&self) -> usize {
        if self.is_dense() { self.length } else { CHUNK }
    }

    /// A whole row; only if [`is_dense`](Self::is_dense).
    pub fn row(&self, row: usize) -> &'a [T] {
        &self.data[self.start(row)..][..self.length]
    }

    /// `count` numbers of a row from `from` on: a slice of the tensor, or a copy in `space`.
    pub fn piece<'b>(&self, row: usize, from: usize, count: usize, space: &'b mut [T]) -> &'b [T]
    where
        'a: 'b,
    {
        let start = self.start(row) + from * self.step;
        if self.is_dense() {
            return &self.data[start..start + count];
        }
        let space = &mut space[..count];
        match self.step {
            0 => space.fill(self.data[start]),
            step => {
                let numbers = self.data[start..].iter().step_by(step);
                space.iter_mut().zip(numbers).for_each(|(to, &from)| *to = from);
            }
        }
        space
    }

    /// Copies the numbers from position `from` on, counted in row-major order.
    pub fn copy(&self, mut from: usize, mut to: &mut [T]) {
        while !to.is_empty() {
            let (row, at) = (from / self.length, from % self.length);
            let count = to.len().min(self.length - at);
            let (now, later) = to.split_at_mut(count);
            let start = self.start(row) + at * self.step;
            if self.is_dense() {
                now.copy_from_slice(&self.data[start..start + count]);
            } else {
                for (i, to) in now.iter_mut().enumerate() {
                    *to = self.data[start + i * self.step];
                }
            }
            (from, to) = (from + count, later);
        }
    }
}
