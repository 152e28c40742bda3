//! Weights in panels, packed once when a model is loaded.

use bert_core::tensor::{DType, HostTensor};
use bert_core::{Error, Result};
use half::{bf16, f16};

use crate::memory::{Filling, Shared};
use crate::pool::Pool;
use crate::simd::Isa;

/// A weight `[out_features, in_features]` in panels of output features: the matrix B of a
/// [`Product`](super::gemm::Product), whose row `k` holds input feature `k` of every output.
#[derive(Clone, Debug)]
pub(crate) struct PackedMatrix {
    panels: Shared,
    pub in_features: usize,
    pub out_features: usize,
    /// Output features in a panel.
    pub width: usize,
}

/// Input features that are transposed at a time: as many rows as a panel is wide, and their strip of the
/// panel, stay in the first cache.
const STRIP: usize = 64;
/// The widest panel, of two vectors.
const MAX_WIDTH: usize = 32;

impl PackedMatrix {
    /// Packs a weight, decoding it from any float type on the way. `weight` is read once, row by row.
    ///
    /// # Errors
    /// [`Error::DType`] for integers.
    pub fn new(pool: &Pool, isa: Isa, weight: &HostTensor) -> Result<Self> {
        let (out_features, in_features) = (weight.shape()[0], weight.shape()[1]);
        let decode: fn(&[u8], &mut [f32]) = match weight.dtype() {
            DType::F32 => |from, to| decode(from, to, f32::from_le_bytes),
            DType::F64 => |from, to| decode(from, to, |x| f64::from_le_bytes(x) as f32),
            DType::F16 => |from, to| decode(from, to, |x| f16::from_le_bytes(x).to_f32()),
            DType::Bf16 => |from, to| decode(from, to, |x| bf16::from_le_bytes(x).to_f32()),
            found => return Err(Error::DType { op: "prepare_weight", expected: "a float type", found }),
        };
        let width = 2 * isa.lanes();
        let mut panels = Filling::permanent(out_features.div_ceil(width) * width * in_features);
        let bytes = weight.bytes();
        let row_bytes = in_features * weight.dtype().size();
        pool.run_pieces(panels.as_mut_slice(), (width * in_features).max(1), |index, panel| {
            let rows = index * width..out_features.min((index + 1) * width);
            let mut strip = [[0.0f32; STRIP]; MAX_WIDTH];
            for start in (0..in_features).step_by(STRIP) {
                let length = STRIP.min(in_features - start);
                for (row, strip) in rows.clone().zip(&mut strip) {
                    let row = &bytes[row * row_bytes..][..row_bytes];
                    let size = row_bytes / in_features;
                    decode(&row[start * size..][..length * size], &mut strip[..length]);
                }
                for (k, row) in panel[start * width..][..length * width].chunks_exact_mut(width).enumerate() {
                    for (x, strip) in row.iter_mut().zip(&strip) {
                        *x = strip[k];
                    }
                }
            }
        });
        Ok(Self { panels: panels.share(), in_features, out_features, width })
    }

    /// All panels, `in_features * width` numbers each.
    pub fn panels(&self) -> &[f32] {
        self.panels.as_slice()
    }

    /// Distance between panels.
    pub fn stride(&self) -> usize {
        self.in_features * self.width
    }
}

fn decode<const N: usize>(from: &[u8], to: &mut [f32], number: impl Fn([u8; N]) -> f32) {
    for (to, &from) in to.iter_mut().zip(from.as_chunks::<N>().0) {
        *to = number(from);
    }
}

/// Writes columns of a strided matrix as one panel: `columns x depth` numbers, zeros up to `width`.
///
/// # Safety
/// `depth x columns` numbers at `from`, with these strides, must be valid; `columns <= width`.
pub(crate) unsafe fn pack_panel(
    panel: &mut [f32],
    width: usize,
    from: *const f32,
    (depth, depth_stride): (usize, usize),
    (columns, column_stride): (usize, usize),
) {
    for (k, row) in panel[..depth * width].chunks_exact_mut(width).enumerate() {
        let from = from.wrapping_add(k * depth_stride);
        let (row, padding) = row.split_at_mut(columns);
        if column_stride == 1 {
            // SAFETY: the caller's promise.
            row.copy_from_slice(unsafe { std::slice::from_raw_parts(from, columns) });
        } else {
            for (j, x) in row.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *x = unsafe { *from.add(j * column_stride) };
            }
        }
        padding.fill(0.0);
    }
}
