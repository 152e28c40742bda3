//! Transposed copies, by squares that fit in registers.

use crate::simd::{Isa, Simd, dispatch};

/// Rows that are written at a time: what is read of each line of the source is then a whole cache line.
pub(crate) const STRIP: usize = 16;

/// A matrix that is read by its columns: number `column` of row `row` lies at `from[column * from_stride + row]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transpose {
    pub from: *const f32,
    pub from_stride: usize,
    pub to: *mut f32,
    pub to_stride: usize,
    pub rows: usize,
    pub columns: usize,
}

dispatch! {
    fn transpose(matrix: &Transpose) = generic;
}

impl Transpose {
    /// Writes the rows.
    ///
    /// # Safety
    /// All numbers must be readable, and the rows writable and nobody else's.
    pub unsafe fn run(&self, isa: Isa) {
        transpose(isa, self);
    }
}

#[inline(always)]
fn generic<S: Simd>(s: S, matrix: &Transpose) {
    let Transpose { from, from_stride, to, to_stride, rows, columns } = *matrix;
    let (whole_rows, whole_columns) = (rows / S::LANES * S::LANES, columns / S::LANES * S::LANES);
    for strip in (0..whole_rows).step_by(STRIP.max(S::LANES)) {
        let end = whole_rows.min(strip + STRIP.max(S::LANES));
        for column in (0..whole_columns).step_by(S::LANES) {
            for row in (strip..end).step_by(S::LANES) {
                // SAFETY: a square inside the matrix, which the caller of `run` vouches for.
                unsafe {
                    let from = from.add(column * from_stride + row);
                    s.transpose(from, from_stride, to.add(row * to_stride + column), to_stride);
                }
            }
        }
    }
    for row in 0..rows {
        let first = if row < whole_rows { whole_columns } else { 0 };
        for column in first..columns {
            // SAFETY: as above.
            unsafe { *to.add(row * to_stride + column) = *from.add(column * from_stride + row) };
        }
    }
}
