//! Products of less than 32 bits: bf16 and int8.
//!
//! The activations of a layer are rounded once, see [`Rounded`]; the pieces of its product, see [`LowProduct`],
//! add up bf16 in `f32` and bytes in `i32`, and leave `f32`.

use std::sync::Arc;

use bert_core::contract::Activation;
use bytemuck::Pod;
use half::bf16;

#[cfg(target_arch = "x86_64")]
use super::dot::Bf16Pairs;
use super::dot::{Dot, Layout, Widened, byte_limits, with_bytes};
use super::epilogue::{Output, finish};
use super::gemm::{Operands, Sums};
use super::quantise::{RowScale, round_to_bf16, to_bf16, to_bytes};
use super::rows::Rows;
use crate::memory::{Arena, Shared};
use crate::simd::{Isa, Simd, dispatch};
use crate::thread_pool::{Shareable, ThreadPool};

/// The layout of panels of bytes.
pub(crate) fn byte_layout(isa: Isa) -> Layout {
    with_bytes!(isa, |dot| Layout::of(dot))
}

/// The layout of panels of bf16.
pub(crate) fn bf16_layout(isa: Isa) -> Layout {
    let step = if isa.has_bf16() { 2 } else { 1 };
    Layout { width: 2 * isa.lanes(), step, group: step }
}

/// The activations of a layer as its product wants them: the matrix A.
#[derive(Debug)]
pub(crate) struct Rounded {
    /// `bf16`, or `f32` with the values of bf16 where those are widened, or `u8`.
    numbers: Shared,
    /// Bytes from row to row.
    stride: usize,
    /// What the bytes of each row stand for; empty for bf16.
    scales: Shared,
}

/// Numbers that a task rounds.
const PIECE: usize = 8192;

impl Rounded {
    /// Rounds rows to bf16.
    pub fn to_bf16(pool: &ThreadPool, isa: Isa, arena: &Arc<Arena>, rows: &Rows<'_, f32>) -> Self {
        let stride = bf16_layout(isa).depth(rows.length);
        match isa.has_bf16() {
            true => Self::rows(pool, arena, rows, stride, 0, |row, to: &mut [bf16]| {
                to_bf16(isa, row, to);
                None
            }),
            false => Self::rows(pool, arena, rows, stride, 0, |row, to: &mut [f32]| {
                round_to_bf16(isa, row, to);
                None
            }),
        }
    }

    /// Rounds rows to bytes, each with a scale and a zero of its own.
    pub fn to_bytes(pool: &ThreadPool, isa: Isa, arena: &Arc<Arena>, rows: &Rows<'_, f32>) -> Self {
        let (stride, most) = (byte_layout(isa).depth(rows.length), byte_limits(isa).most);
        let round = |row: &[f32], to: &mut [u8]| Some(to_bytes(isa, row, most, to));
        Self::rows(pool, arena, rows, stride, rows.count(), round)
    }

    fn rows<T: Pod>(
        pool: &ThreadPool,
        arena: &Arc<Arena>,
        rows: &Rows<'_, f32>,
        stride: usize,
        scaled: usize,
        round: impl Fn(&[f32], &mut [T]) -> Option<RowScale> + Sync,
    ) -> Self {
        let bytes = stride * size_of::<T>();
        let mut numbers = arena.take::<u8>(rows.count() * bytes);
        let mut scales = arena.take::<RowScale>(scaled);
        let scale_at = Shareable::new(scales.as_mut_slice().as_mut_ptr());
        let each = (PIECE / rows.length.max(1)).max(1);
        pool.run_pieces(numbers.as_mut_slice(), each * bytes, |task, piece| {
            let piece: &mut [T] = bytemuck::cast_slice_mut(piece);
            for (i, to) in piece.chunks_exact_mut(stride).enumerate() {
                let row = task * each + i;
                if let Some(scale) = round(rows.row(row), to) {
                    assert!(row < scaled);
                    // SAFETY: inside, and the place of this row belongs to this task alone.
                    unsafe { *scale_at.at(row) = scale };
                }
            }
        });
        Self { numbers: numbers.share(), stride: bytes, scales: scales.share() }
    }

    /// Row `first`, and the distance in bytes from row to row.
    pub fn row(&self, first: usize) -> (*const u8, usize) {
        (self.numbers.as_slice::<u8>()[first * self.stride..].as_ptr(), self.stride)
    }

    /// What the bytes of each row stand for.
    pub fn scales(&self) -> &[RowScale] {
        self.scales.as_slice()
    }
}

/// One piece of a product: some rows of A times some panels of B, into some rows and columns of C.
#[derive(Clone, Copy)]
pub(crate) struct LowProduct<'a> {
    pub numbers: LowNumbers<'a>,
    /// First row of A, and the distance between its rows in bytes.
    pub a: *const u8,
    pub a_stride: usize,
    /// First panel of B, and the distance between panels in numbers.
    pub b: *const u8,
    pub b_stride: usize,
    /// First element of C, and the distance between its rows.
    pub c: *mut f32,
    pub c_stride: usize,
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    /// Added to each row of C at the end, and applied after that.
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
    /// `rows` times the columns of all panels in it, of any value.
    pub scratch: *mut i32,
}

/// The numbers of A and B, and what bytes stand for.
#[derive(Clone, Copy)]
pub(crate) enum LowNumbers<'a> {
    Bf16,
    Int8 {
        /// Of each row of A.
        rows: &'a [RowScale],
        /// The scale of each column of the panels, and the sum of its bytes.
        columns: &'a [f32],
        sums: &'a [i32],
    },
}

impl LowProduct<'_> {
    /// Computes the piece.
    ///
    /// # Safety
    /// A must have been rounded and B packed for `isa`: `rows` rows of A and C, `depth` (of A, what fills it up)
    /// and `columns` long, and all panels that `columns` touches must be valid, and the scratch; nobody else may
    /// use this part of C.
    pub unsafe fn run(&self, isa: Isa) {
        debug_assert!(self.bias.is_none_or(|bias| bias.len() == self.columns));
        // SAFETY: passed on.
        unsafe { self.sums(isa) };
        match self.numbers {
            LowNumbers::Int8 { rows, columns, sums } => {
                let width = byte_layout(isa).width;
                let padded = self.columns.next_multiple_of(width);
                assert!(rows.len() >= self.rows && columns.len() >= padded && sums.len() >= padded);
                finish_bytes(isa, self, width, rows, columns, sums);
            }
            LowNumbers::Bf16 => finish_floats(isa, self),
        }
    }

    /// The products alone, into the scratch.
    ///
    /// # Safety
    /// As [`run`](Self::run), but for C.
    pub unsafe fn sums(&self, isa: Isa) {
        match self.numbers {
            LowNumbers::Int8 { .. } => with_bytes!(isa, |dot| {
                let operands = self.operands(dot);
                let to = Sums::Panels(self.scratch);
                // SAFETY: the caller's promise.
                dot.vectorize(
                    #[inline(always)]
                    || unsafe { operands.sums(dot, to) },
                );
            }),
            #[cfg(target_arch = "x86_64")]
            LowNumbers::Bf16 if isa.has_bf16() => {
                use crate::simd::Avx512;
                // SAFETY: an `Isa` is only made for instructions that this machine has.
                let dot = Bf16Pairs(unsafe { Avx512::new() });
                let operands = self.operands(dot);
                let to = Sums::Panels(self.scratch.cast());
                // SAFETY: the caller's promise.
                dot.vectorize(
                    #[inline(always)]
                    || unsafe { operands.sums(dot, to) },
                );
            }
            LowNumbers::Bf16 => widened(isa, self),
        }
    }

    #[inline(always)]
    fn operands<D: Dot>(&self, _: D) -> Operands<D::A, D::B> {
        Operands {
            a: self.a.cast(),
            a_stride: self.a_stride / size_of::<D::A>(),
            b: self.b.cast(),
            b_stride: self.b_stride,
            rows: self.rows,
            columns: self.columns,
            steps: self.depth.next_multiple_of(D::STEP * D::GROUP) / D::STEP,
        }
    }

    #[inline(always)]
    fn output(&self, width: usize) -> Output<'_> {
        Output {
            width,
            c: self.c,
            c_stride: self.c_stride,
            rows: self.rows,
            columns: self.columns,
            bias: self.bias,
            activation: self.activation,
        }
    }
}

dispatch! {
    /// Bytes, once their sums are in the scratch.
    fn finish_bytes(
        product: &LowProduct<'_>,
        width: usize,
        rows: &[RowScale],
        columns: &[f32],
        sums: &[i32],
    ) = finish_bytes_generic;
}

#[inline(always)]
fn finish_bytes_generic<S: Simd>(
    s: S,
    product: &LowProduct<'_>,
    width: usize,
    rows: &[RowScale],
    columns: &[f32],
    sums: &[i32],
) {
    // SAFETY: `run` has made sure that there are as many columns as the panels have, and passes on the promise
    // of its caller for the rest.
    unsafe {
        finish(
            s,
            &product.output(width),
            #[inline(always)]
            |row, column, at| {
                let RowScale { scale, zero } = *rows.get_unchecked(row);
                let exact = s.load_difference(product.scratch.add(at), zero, sums.as_ptr().add(column));
                s.mul(s.mul(exact, s.splat(scale)), s.load(columns.as_ptr().add(column)))
            },
        );
    }
}

dispatch! {
    /// Sums of `f32` in the scratch.
    fn finish_floats(product: &LowProduct<'_>) = finish_floats_generic;
}

#[inline(always)]
fn finish_floats_generic<S: Simd>(s: S, product: &LowProduct<'_>) {
    let scratch: *const f32 = product.scratch.cast();
    // SAFETY: `run` passes on the promise of its caller.
    unsafe {
        finish(
            s,
            &product.output(2 * S::LANES),
            #[inline(always)]
            |_, _, at| s.load(scratch.add(at)),
        );
    }
}

dispatch! {
    /// The sums of bf16 that is widened.
    fn widened(product: &LowProduct<'_>) = widened_generic;
}

#[inline(always)]
fn widened_generic<S: Simd>(s: S, product: &LowProduct<'_>) {
    let dot = Widened(s);
    // SAFETY: `LowProduct::sums` passes on the promise of its caller.
    unsafe { product.operands(dot).sums(dot, Sums::Panels(product.scratch.cast())) };
}
