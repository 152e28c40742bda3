//! What every operation works with: threads, instructions, and memory for results.

use std::sync::Arc;

use bert_core::Result;
use bert_core::tensor::{DType, Shape, View};
use bytemuck::Pod;

use crate::buffer::{CpuBuffer, Storage};
use crate::kernels::rows::Rows;
use crate::kernels::transpose::{STRIP, Transpose};
use crate::memory::{Arena, Filling};
use crate::simd::Isa;
use crate::thread_pool::{Shareable, ThreadPool};
use crate::{CpuError, CpuOptions};

/// Numbers that a task of an element-wise operation handles: some microseconds of work.
pub(crate) const PIECE: usize = 8192;

/// The part of the machine that a backend uses. Clones share it.
#[derive(Clone)]
pub(crate) struct Cpu {
    pub pool: Arc<ThreadPool>,
    pub isa: Isa,
    pub arena: Arc<Arena>,
}

impl Cpu {
    pub fn new(options: CpuOptions) -> Result<Self, CpuError> {
        let threads = options.resolve_threads()?;
        let isa = Isa::new(options.resolve_simd()?)?;
        let pool = ThreadPool::shared(threads).map_err(|source| CpuError::Spawn { threads, source })?;
        Ok(Self { pool, isa, arena: Arc::default() })
    }

    /// The tensor whose numbers these are.
    pub fn view<T: Pod>(memory: Filling<T>, dtype: DType, shape: impl Into<Shape>) -> View<CpuBuffer> {
        View::contiguous(CpuBuffer(Storage::Block(memory.share(), dtype)), dtype, shape)
    }

    /// Makes a tensor of `f32` by filling pieces of whole rows of `length` numbers.
    pub fn by_rows(
        &self,
        shape: impl Into<Shape>,
        length: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> View<CpuBuffer> {
        let shape = shape.into();
        let mut out = self.arena.take::<f32>(shape.elements());
        let rows = (PIECE / length.max(1)).max(1);
        self.pool
            .run_pieces(out.as_mut_slice(), rows * length.max(1), |task, piece| fill(task * rows, piece));
        Self::view(out, DType::F32, shape)
    }

    /// The numbers of a view, row-major.
    pub fn copy<T: Pod + Send + Sync>(&self, x: &View<CpuBuffer>, data: &[T]) -> View<CpuBuffer> {
        let rank = x.shape().rank();
        if rank >= 2
            && x.strides()[rank - 1] != 1
            && x.strides()[rank - 2] == 1
            && let Ok(numbers) = bytemuck::try_cast_slice(data)
        {
            return self.transposed(x, numbers);
        }
        let mut out = self.arena.take::<T>(x.shape().elements());
        let from = Rows::joined(x, data);
        self.pool.run_pieces(out.as_mut_slice(), PIECE, |task, piece| from.copy(task * PIECE, piece));
        Self::view(out, x.dtype(), x.shape())
    }

    /// A copy of matrices whose columns lie side by side. The numbers may be any of four bytes: they are only moved.
    fn transposed(&self, x: &View<CpuBuffer>, data: &[f32]) -> View<CpuBuffer> {
        let rank = x.shape().rank();
        let (rows, columns) = (x.shape()[rank - 2], x.shape()[rank - 1]);
        let mut out = self.arena.take::<f32>(x.shape().elements());
        let (matrices, strips) = (x.shape().elements() / (rows * columns), rows.div_ceil(STRIP));
        let from = Rows::new(x, data);
        let to = Shareable::new(out.as_mut_slice().as_mut_ptr());
        // What the pointers rely on.
        let last = (rows - 1) + (columns - 1) * x.strides()[rank - 1];
        self.pool.run(matrices * strips, |task| {
            let row = task % strips * STRIP;
            let start = from.start(task / strips * rows);
            let count = STRIP.min(rows - row);
            assert!(start + last < from.data().len());
            // SAFETY: the matrix lies inside the buffer; these rows of the output belong to this task alone.
            unsafe {
                Transpose {
                    from: from.data().as_ptr().add(start + row),
                    from_stride: x.strides()[rank - 1],
                    to: to.at((task / strips * rows + row) * columns),
                    to_stride: columns,
                    rows: count,
                    columns,
                }
                .run(self.isa);
            }
        });
        Self::view(out, x.dtype(), x.shape())
    }

    /// The view itself, or a row-major copy of it.
    pub fn contiguous(&self, op: &'static str, x: &View<CpuBuffer>) -> Result<View<CpuBuffer>> {
        if x.is_contiguous() { Ok(x.clone()) } else { Ok(self.copy(x, x.buffer().f32(op)?)) }
    }

    /// Runs `work` on all of the output, in pieces that lie within one row and are handed over as
    /// `(row, first column, piece)`.
    pub fn within_rows(
        &self,
        out: &mut [f32],
        length: usize,
        work: impl Fn(usize, usize, &mut [f32]) + Sync,
    ) {
        self.pool.run_pieces(out, PIECE, |task, mut piece| {
            let mut at = task * PIECE;
            while !piece.is_empty() {
                let (row, column) = (at / length, at % length);
                let count = piece.len().min(length - column);
                let (now, later) = piece.split_at_mut(count);
                work(row, column, now);
                (at, piece) = (at + count, later);
            }
        });
    }
}
