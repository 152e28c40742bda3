//! Products of matrices: which kernel, and in how many tiles.

use bert_core::contract::{Activation, Linear, Precision};
use bert_core::tensor::View;

use crate::adapter::AdapterKind;
use crate::buffer::{Block, Output};
use crate::gpu::Gpu;
use crate::kernel::{Kernel, Left, Right, Shader};
use crate::transfer::{TILE_COLUMNS, TILE_DEPTH};
use crate::{WgpuBuffer, WgpuError, params};

/// Rows of a tile for each unit of `MICRO`.
const UNIT: usize = 8;
/// What `MICRO` may be, the one with the fewest loads for each multiplication first. All give the same bits.
const MICROS: [u32; 4] = [8, 4, 2, 1];

/// The left factor of a linear layer.
pub(crate) struct Factor<'a> {
    block: &'a Block,
    left: Left,
    /// As the kernel's `left`.
    words: [u32; 4],
    rows: usize,
    /// What the kernel counts along its rows.
    depth: usize,
}

impl<'a> Factor<'a> {
    /// Rows of floats.
    pub fn floats(x: &'a View<WgpuBuffer>) -> Result<Self, WgpuError> {
        let left = if params::is_dense(x) { Left::Dense } else { Left::Strided };
        let [offset, row, column, _] = params::rows(x);
        let [rows, depth] = [x.shape()[0], x.shape()[1]];
        Ok(Self { block: x.buffer().block(OP)?, left, words: [offset, row, column, 0], rows, depth })
    }

    /// Rows that the kernel `quantise` made, [`int8_words`] of numbers each.
    pub fn int8(rows: &'a Output) -> Self {
        let shape = rows.view.shape();
        let words = [0, shape[1] as u32 / 4, 0, 0];
        Self { block: &rows.block, left: Left::Int8, words, rows: shape[0], depth: shape[1] - INT8_STEP }
    }
}

/// Words that so many numbers make in 8 bits, padded to whole tiles.
pub(crate) fn int8_words(depth: usize) -> usize {
    depth.div_ceil(4).next_multiple_of(TILE_DEPTH)
}

/// Words after these, of which the first is the length of the row's step; rows stay aligned to quads.
pub(crate) const INT8_STEP: usize = 4;

const OP: &str = "linear";

/// A linear layer on a device.
pub(crate) struct Product<'a> {
    pub gpu: &'a Gpu,
    pub activation: Activation,
    pub bias: Option<&'a View<WgpuBuffer>>,
}

impl Product<'_> {
    /// `x Wᵀ`, a part of the weight after another.
    pub fn linear(&self, x: &Factor, layer: &Linear<WgpuBuffer>, out: &Output) -> Result<(), WgpuError> {
        let (bias_block, [bias, bias_stride]) = match self.bias {
            Some(bias) => (bias.buffer().block(OP)?, params::vector(bias)),
            None => (x.block, [0, 0]), // never read
        };
        let right = match layer.precision {
            Precision::F16 => Right::PackedHalf,
            Precision::Int8 => Right::PackedInt8,
            _ => Right::Packed,
        };
        let (m, k) = (x.rows, x.depth);
        for part in layer.weight.packed(OP, layer.precision)? {
            let n = part.rows.len();
            let micro = micro(self.gpu, m, n, 1);
            let quads = n.next_multiple_of(TILE_COLUMNS) / 4;
            let tiles = Tiles::new(micro, m, n);
            let words = [
                x.words,
                [0, quads as u32, 0, 0],
                [0, 0, 0, 0],
                [m as u32, n as u32, k as u32, 1],
                [tiles.rows, tiles.columns, tiles.rows * tiles.columns, layer.out_features as u32],
                [part.rows.start as u32, bias, bias_stride, 0],
            ]
            .concat();
            let kernel = kernel(x.left, right, micro, self.bias.is_some(), self.activation);
            let inputs = [x.block, &part.block, bias_block];
            self.gpu.run(kernel, &inputs, &out.block, &words, tiles.count(1))?;
        }
        Ok(())
    }
}

/// The product of the last two axes of any two views.
pub(crate) fn matmul(
    gpu: &Gpu,
    a: &View<WgpuBuffer>,
    b: &View<WgpuBuffer>,
    out: &Output,
) -> Result<(), WgpuError> {
    const OP: &str = "matmul";
    let rank = a.shape().rank();
    let (m, k, n) = (a.shape()[rank - 2], a.shape()[rank - 1], b.shape()[rank - 1]);
    let batch: usize = a.shape()[..rank - 2].iter().product();
    // Strides of the two leading axes; missing ones have extent 1.
    let leading = |view: &View<WgpuBuffer>| {
        let mut strides = [0; 2];
        for (to, &from) in strides[4 - rank..].iter_mut().zip(view.strides()) {
            *to = from as u32;
        }
        strides
    };
    let inner = if rank > 2 { a.shape()[rank - 3] } else { 1 };
    let factor = |view: &View<WgpuBuffer>| {
        [view.offset() as u32, view.strides()[rank - 2] as u32, view.strides()[rank - 1] as u32, 0]
    };
    let micro = micro(gpu, m, n, batch);
    let tiles = Tiles::new(micro, m, n);
    let all = u32::try_from(tiles.count(batch)).map_err(|_| WgpuError::TooLarge {
        op: OP,
        bytes: 4 * (batch * m * n) as u64,
        limit: gpu.most_bytes(),
    })?;
    let ([a_outer, a_inner], [b_outer, b_inner]) = (leading(a), leading(b));
    let words = [
        factor(a),
        factor(b),
        [a_outer, a_inner, b_outer, b_inner],
        [m as u32, n as u32, k as u32, inner as u32],
        [tiles.rows, tiles.columns, all, n as u32],
        [0, 0, 0, 0],
    ]
    .concat();
    let kernel = kernel(Left::Strided, Right::Strided, micro, false, Activation::Identity);
    let (a, b): (&Block, &Block) = (a.buffer().block(OP)?, b.buffer().block(OP)?);
    gpu.run(kernel, &[a, b, a], &out.block, &words, all.into())
}

/// How a product is cut.
struct Tiles {
    rows: u32,
    columns: u32,
}

impl Tiles {
    fn new(micro: u32, m: usize, n: usize) -> Self {
        let rows = m.div_ceil(UNIT * micro as usize) as u32;
        Self { rows, columns: n.div_ceil(TILE_COLUMNS) as u32 }
    }

    fn count(&self, batch: usize) -> u64 {
        u64::from(self.rows) * u64::from(self.columns) * batch as u64
    }
}

/// The largest tiles that are not mostly padding and still leave work for every core.
fn micro(gpu: &Gpu, m: usize, n: usize, batch: usize) -> u32 {
    let wanted = if gpu.adapter.kind == AdapterKind::Software { 1 } else { 256 };
    let fits = |&micro: &u32| m > UNIT * micro as usize / 2 && Tiles::new(micro, m, n).count(batch) >= wanted;
    MICROS.into_iter().find(fits).unwrap_or(1)
}

fn kernel(left: Left, right: Right, micro: u32, bias: bool, activation: Activation) -> Kernel {
    let activation = match activation {
        Activation::Identity => 0,
        Activation::Gelu => 1,
        Activation::GeluTanh => 2,
        Activation::Relu => 3,
        Activation::Tanh => 4,
    };
    let constants = [("MICRO", micro), ("BIAS", bias.into()), ("ACTIVATION", activation)];
    Kernel::new(Shader::Gemm(left, right), &constants)
}

/// Those of the layers of every model.
pub(crate) fn usual_kernels(activations: &[Activation]) -> Vec<Kernel> {
    let of = |micro| {
        activations.iter().map(move |&activation| kernel(Left::Dense, Right::Packed, micro, true, activation))
    };
    MICROS.into_iter().flat_map(of).collect()
}
