//! Weights in panels, packed once when a model is loaded.

mod parts;

use std::sync::Arc;

use bert_core::contract::Precision;
use bert_core::tensor::{DType, HostTensor};
use bert_core::{Error, Result};
use bytemuck::Pod;
use half::{bf16, f16};

use super::dot::{Layout, byte_limits};
use super::low;
use super::quantise::weight_to_bytes;
use crate::CpuError;
use crate::memory::{Arena, Filling, Shared};
use crate::simd::{Isa, Simd, dispatch};
use crate::thread_pool::{Shareable, ThreadPool};

/// A weight `[out_features, in_features]` in panels of output features: the matrix B of a product, whose row `k`
/// holds input feature `k` of every output.
#[derive(Clone, Debug)]
pub(crate) struct PackedMatrix {
    panels: Shared,
    pub numbers: Numbers,
    pub in_features: usize,
    pub out_features: usize,
    /// Output features in a panel.
    pub width: usize,
    /// Distance between panels.
    pub stride: usize,
}

/// What the panels hold.
#[derive(Clone, Debug)]
pub(crate) enum Numbers {
    F32,
    Bf16,
    /// `i8`, to be multiplied with the scale of their column.
    Int8(Columns),
}

/// What belongs to each column of bytes; there are as many as the panels have.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    scales: Shared,
    sums: Shared,
}

impl Columns {
    /// What a byte stands for.
    pub fn scales(&self) -> &[f32] {
        self.scales.as_slice()
    }

    /// The sum of the bytes.
    pub fn sums(&self) -> &[i32] {
        self.sums.as_slice()
    }
}

/// The widest panel, of two vectors.
const MAX_WIDTH: usize = 32;
/// Input features that are transposed at a time: as many rows as a panel is wide, and their strip of the
/// panel, stay in the first cache.
const STRIP: usize = 64;
/// Input features beyond which the sum of products of bytes might not fit in 32 bits.
const MOST_BYTES: usize = i32::MAX as usize / (255 * 127);

impl PackedMatrix {
    /// Packs a weight, decoding it from any float type on the way.
    ///
    /// # Errors
    /// [`Error::DType`] for integers; [`CpuError::TooDeep`] for more input features than bytes can be multiplied over.
    pub fn new(pool: &ThreadPool, isa: Isa, weight: &HostTensor, precision: Precision) -> Result<Self> {
        Self::packed(pool, isa, &Source::new(weight)?, precision)
    }

    /// Packs a weight of `f32`, row-major.
    ///
    /// # Errors
    /// [`CpuError::TooDeep`] as [`new`](Self::new).
    pub fn from_rows(
        pool: &ThreadPool,
        isa: Isa,
        weight: &[f32],
        [out_features, in_features]: [usize; 2],
        precision: Precision,
    ) -> Result<Self> {
        Self::packed(pool, isa, &Source::rows(weight, out_features, in_features), precision)
    }

    fn packed(pool: &ThreadPool, isa: Isa, source: &Source<'_>, precision: Precision) -> Result<Self> {
        let layout = Self::layout(isa, source.in_features, precision)?;
        Ok(match precision {
            Precision::F32 => Self::floats(pool, source, layout, Numbers::F32, |x| x),
            Precision::Bf16 => Self::floats(pool, source, layout, Numbers::Bf16, bf16::from_f32),
            Precision::Int8 => Self::bytes(pool, isa, source, layout),
            _ => unreachable!("it has no layout"),
        })
    }

    /// Packs a weight `[out_features, in_features]` of `f32` with any strides, such as the transpose of one, that
    /// begins with the first number of `data`. As a step of training makes all weights anew, they lie in memory that is
    /// used again.
    pub fn from_strided(
        pool: &ThreadPool,
        isa: Isa,
        arena: &Arc<Arena>,
        data: &[f32],
        [out_features, in_features]: [usize; 2],
        [column_stride, depth_stride]: [usize; 2],
    ) -> Self {
        let last = (out_features - 1) * column_stride + (in_features - 1) * depth_stride;
        assert!(last < data.len(), "a weight lies inside its buffer");
        let width = 2 * isa.lanes();
        let stride = in_features * width;
        let mut panels = arena.take(out_features.div_ceil(width) * stride);
        pool.run_pieces(panels.as_mut_slice(), stride, |index, panel: &mut [f32]| {
            let first = index * width;
            let from = data[first * column_stride..].as_ptr();
            let columns = width.min(out_features - first);
            let part = Strided { from, depth: in_features, depth_stride, columns, column_stride };
            // SAFETY: the last number was seen to lie inside the slice.
            unsafe { part.pack(isa, panel, width) };
        });
        Self { panels: panels.share(), numbers: Numbers::F32, in_features, out_features, width, stride }
    }

    fn layout(isa: Isa, in_features: usize, precision: Precision) -> Result<Layout> {
        Ok(match precision {
            Precision::F32 => Layout { width: 2 * isa.lanes(), step: 1, group: 1 },
            Precision::Bf16 => low::bf16_layout(isa),
            Precision::Int8 if in_features > MOST_BYTES => {
                return Err(CpuError::TooDeep { found: in_features, most: MOST_BYTES }.into());
            }
            Precision::Int8 => low::byte_layout(isa),
            _ => unreachable!("`prepare_weight` refuses what `info` does not list"),
        })
    }

    /// Panels of numbers that are rounded one by one. The weight is read once, row by row.
    fn floats<T: Pod + Send + Sync>(
        pool: &ThreadPool,
        source: &Source<'_>,
        layout: Layout,
        numbers: Numbers,
        round: impl Fn(f32) -> T + Sync,
    ) -> Self {
        let (width, step) = (layout.width, layout.step);
        let stride = layout.depth(source.in_features) * width;
        let mut panels = Filling::permanent(source.out_features.div_ceil(width) * stride);
        pool.run_pieces(panels.as_mut_slice(), stride.max(1), |index, panel: &mut [T]| {
            let rows = index * width..source.out_features.min((index + 1) * width);
            let mut strip = [[0.0f32; STRIP]; MAX_WIDTH];
            for start in (0..source.in_features).step_by(STRIP) {
                let length = STRIP.min(source.in_features - start);
                for (row, strip) in rows.clone().zip(&mut strip) {
                    source.read(row, start, &mut strip[..length]);
                    // What fills up the last step.
                    strip[length..].fill(0.0);
                }
                let piece = &mut panel[start * width..][..length.next_multiple_of(step) * width];
                for (k, numbers) in piece.chunks_exact_mut(width * step).enumerate() {
                    for (numbers, strip) in numbers.chunks_exact_mut(step).zip(&strip) {
                        for (x, &number) in numbers.iter_mut().zip(&strip[k * step..]) {
                            *x = round(number);
                        }
                    }
                }
            }
        });
        let Source { in_features, out_features, .. } = *source;
        Self { panels: panels.share(), numbers, in_features, out_features, width, stride }
    }

    /// Panels of bytes with a scale for each output feature.
    fn bytes(pool: &ThreadPool, isa: Isa, source: &Source<'_>, layout: Layout) -> Self {
        let limits = byte_limits(isa);
        let Source { in_features, out_features, .. } = *source;
        let width = layout.width;
        let stride = layout.depth(in_features) * width;
        let count = out_features.div_ceil(width);
        let mut panels = Filling::<i8>::permanent(count * stride);
        let (mut scales, mut sums) =
            (Filling::<f32>::permanent(count * width), Filling::<i32>::permanent(count * width));
        let scale_at = Shareable::new(scales.as_mut_slice().as_mut_ptr());
        let sum_at = Shareable::new(sums.as_mut_slice().as_mut_ptr());
        pool.run_pieces(panels.as_mut_slice(), stride.max(1), |index, panel| {
            let (mut row, mut bytes) = (vec![0.0; in_features], vec![0; in_features]);
            for output in index * width..out_features.min((index + 1) * width) {
                source.read(output, 0, &mut row);
                let (scale, sum) = weight_to_bytes(isa, &row, limits, &mut bytes);
                for (step, bytes) in bytes.chunks(layout.step).enumerate() {
                    let at = layout.place(step * layout.step, output % width);
                    panel[at..at + bytes.len()].copy_from_slice(bytes);
                }
                // SAFETY: the places of this output belong to this task alone.
                unsafe {
                    *scale_at.at(output) = scale;
                    *sum_at.at(output) = sum;
                }
            }
        });
        let numbers = Numbers::Int8(Columns { scales: scales.share(), sums: sums.share() });
        Self { panels: panels.share(), numbers, in_features, out_features, width, stride }
    }

    /// Bytes of a number in the panels.
    pub fn number_size(&self) -> usize {
        match self.numbers {
            Numbers::F32 => 4,
            Numbers::Bf16 => 2,
            Numbers::Int8(_) => 1,
        }
    }

    /// All panels, of the numbers that the kernels of this matrix read.
    pub fn panels<T: Pod>(&self) -> &[T] {
        self.panels.as_slice()
    }
}

/// Rows of a weight in the type in which it is stored.
struct Source<'a> {
    bytes: &'a [u8],
    size: usize,
    decode: fn(&[u8], &mut [f32]),
    in_features: usize,
    out_features: usize,
}

impl<'a> Source<'a> {
    fn new(weight: &'a HostTensor) -> Result<Self> {
        let decode: fn(&[u8], &mut [f32]) = match weight.dtype() {
            DType::F32 => |from, to| decode(from, to, f32::from_le_bytes),
            DType::F64 => |from, to| decode(from, to, |x| f64::from_le_bytes(x) as f32),
            DType::F16 => |from, to| decode(from, to, |x| f16::from_le_bytes(x).to_f32()),
            DType::Bf16 => |from, to| decode(from, to, |x| bf16::from_le_bytes(x).to_f32()),
            found => return Err(Error::DType { op: "prepare_weight", expected: "a float type", found }),
        };
        let (out_features, in_features) = (weight.shape()[0], weight.shape()[1]);
        Ok(Self { bytes: weight.bytes(), size: weight.dtype().size(), decode, in_features, out_features })
    }

    fn rows(weight: &'a [f32], out_features: usize, in_features: usize) -> Self {
        assert_eq!(weight.len(), out_features * in_features);
        let decode: fn(&[u8], &mut [f32]) = |from, to| decode(from, to, f32::from_ne_bytes);
        Self {
            bytes: bytemuck::cast_slice(weight),
            size: size_of::<f32>(),
            decode,
            in_features,
            out_features,
        }
    }

    /// Some numbers of a row, from `start` on.
    fn read(&self, row: usize, start: usize, to: &mut [f32]) {
        let from = (row * self.in_features + start) * self.size;
        (self.decode)(&self.bytes[from..][..to.len() * self.size], to);
    }
}

fn decode<const N: usize>(from: &[u8], to: &mut [f32], number: impl Fn([u8; N]) -> f32) {
    for (to, &from) in to.iter_mut().zip(from.as_chunks::<N>().0) {
        *to = number(from);
    }
}

/// A strided matrix: `columns` of them, `depth` numbers long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strided {
    pub from: *const f32,
    pub depth: usize,
    pub depth_stride: usize,
    pub columns: usize,
    pub column_stride: usize,
}

/// Rows that are fetched ahead: they lie too far from one another for the machine to do it by itself.
const AHEAD: usize = 8;

impl Strided {
    /// Writes the columns as panels of `width`, zeros behind the last.
    ///
    /// # Safety
    /// All numbers must be readable.
    pub unsafe fn pack(&self, isa: Isa, panels: &mut [f32], width: usize) {
        assert_eq!(panels.len(), self.columns.next_multiple_of(width) * self.depth);
        pack_strided(isa, self, panels, width);
    }
}

dispatch! {
    fn pack_strided(matrix: &Strided, panels: &mut [f32], width: usize) = pack_strided_generic;
}

#[inline(always)]
fn pack_strided_generic<S: Simd>(s: S, matrix: &Strided, panels: &mut [f32], width: usize) {
    let Strided { from, depth, depth_stride, columns, column_stride } = *matrix;
    assert!(width.is_multiple_of(S::LANES));
    let at = |k: usize, column: usize| from.wrapping_add(k * depth_stride + column * column_stride);
    let place = |k: usize, column: usize| (column / width * depth + k) * width + column % width;
    if column_stride == 1 {
        for k in 0..depth {
            for column in (0..columns.next_multiple_of(width)).step_by(S::LANES) {
                s.prefetch(at(k + AHEAD, column));
                // SAFETY: the caller of `pack` vouches for the columns, and nothing behind them is read.
                let vector = unsafe {
                    match columns.saturating_sub(column) {
                        count if count >= S::LANES => s.load(at(k, column)),
                        count => s.load_first(at(k, column), count),
                    }
                };
                s.write(&mut panels[place(k, column)..][..S::LANES], 0, vector);
            }
        }
        return;
    }
    // Where numbers of a column lie side by side, whole squares of them.
    let square = |extent: usize| if depth_stride == 1 { extent / S::LANES * S::LANES } else { 0 };
    let (columns_of_squares, depth_of_squares) = (square(columns), square(depth));
    for column in (0..columns_of_squares).step_by(S::LANES) {
        for k in (0..depth_of_squares).step_by(S::LANES) {
            let to = &mut panels[place(k, column)..][..(S::LANES - 1) * width + S::LANES];
            // SAFETY: as above; as much of the panel as was just cut out is written.
            unsafe { s.transpose(at(k, column), column_stride, to.as_mut_ptr(), width) };
        }
    }
    for column in 0..columns.next_multiple_of(width) {
        let first = if column < columns_of_squares { depth_of_squares } else { 0 };
        for k in first..depth {
            panels[place(k, column)] = match column < columns {
                // SAFETY: as above.
                true => unsafe { *at(k, column) },
                false => 0.0,
            };
        }
    }
}
