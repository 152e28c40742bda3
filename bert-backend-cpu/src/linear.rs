//! Linear layers: the product of activations with a packed weight, cut into tasks.

use bert_core::Result;
use bert_core::contract::{Activation, Linear, Tensor};
use bert_core::tensor::DType;

use crate::CpuBackend;
use crate::backend::{TASK_PANELS, TASK_ROWS};
use crate::buffer::{CpuBuffer, dense, rows};
use crate::kernels::gemm::Product;
use crate::kernels::low::{LowNumbers, LowProduct, Rounded};
use crate::kernels::pack::Numbers;
use crate::memory::with_scratch;
use crate::pool::Shareable;

/// The fewest rows of a thread's own that are worth reading all of the weight for.
const OWN_ROWS: usize = 48;

/// `activation(x Wᵀ + b)`, all `[rows, features]`.
pub(crate) fn run(
    backend: &CpuBackend,
    x: &Tensor<CpuBackend>,
    layer: &Linear<CpuBuffer>,
    activation: Activation,
) -> Result<Tensor<CpuBackend>> {
    const OP: &str = "linear";
    let CpuBackend { pool, isa, arena, .. } = backend;
    let weight = layer.weight.packed(OP)?;
    let x = if x.strides()[1] == 1 { x.clone() } else { backend.contiguous(OP, x)? };
    let bias = layer.bias.as_ref().map(|bias| backend.contiguous(OP, bias)).transpose()?;
    let bias = bias.as_ref().map(|bias| dense(OP, bias)).transpose()?;
    let (count, columns) = (x.shape()[0], weight.out_features);
    let from = rows(OP, &x)?;
    // What the pointers below rely on.
    assert!(from.length == weight.in_features && bias.is_none_or(|bias| bias.len() == columns));
    let rounded = match weight.numbers {
        Numbers::F32 => None,
        Numbers::Bf16 => Some(Rounded::to_bf16(pool, *isa, arena, &from)),
        Numbers::Int8(_) => Some(Rounded::to_bytes(pool, *isa, arena, &from)),
    };
    let mut out = arena.take::<f32>(count * columns);

    let blocks = ((count + TASK_ROWS / 2) / TASK_ROWS).max(1);
    let threads = pool.threads();
    // As many blocks for each thread, where there are rows enough: it then meets the rows that it wrote.
    let blocks = if count >= threads * OWN_ROWS { blocks.next_multiple_of(threads) } else { blocks };
    let panels = columns.div_ceil(weight.width);
    // Panels of fewer bits take less time.
    let most = if rounded.is_none() { TASK_PANELS } else { 2 * TASK_PANELS };
    let group = (panels * blocks).div_ceil(8 * threads).clamp(1, most);
    let groups = panels.div_ceil(group);
    let base = Shareable::new(out.as_mut_slice().as_mut_ptr());
    let x_stride = x.strides()[0];
    pool.run(groups * blocks, |task| {
        // Tasks that follow one another share their rows, which thus stay in the second cache.
        let (block, panel) = (task / groups, task % groups * group);
        let first = block * count / blocks;
        let rows = (block + 1) * count / blocks - first;
        let columns = panel * weight.width..columns.min((panel + group) * weight.width);
        let width = columns.len().next_multiple_of(weight.width);
        let c = base.at(first * layer.out_features + columns.start);
        let bias = bias.map(|bias| &bias[columns.clone()]);
        with_scratch(rows * width, |scratch: &mut [i32]| {
            let scratch = scratch.as_mut_ptr();
            let Some(rounded) = &rounded else {
                let product = Product {
                    a: from.row(first).as_ptr(),
                    a_stride: x_stride,
                    b: weight.panels()[panel * weight.stride..].as_ptr(),
                    b_stride: weight.stride,
                    c,
                    c_stride: layer.out_features,
                    rows,
                    columns: columns.len(),
                    depth: weight.in_features,
                    bias,
                    activation,
                    scratch: scratch.cast(),
                };
                // SAFETY: rows and panels exist, as the assertion above makes sure; this part of the output belongs
                // to this task alone.
                return unsafe { product.run(*isa) };
            };
            let (a, a_stride) = rounded.row(first);
            let numbers = match &weight.numbers {
                Numbers::Int8(of) => LowNumbers::Int8 {
                    rows: &rounded.scales()[first..first + rows],
                    columns: &of.scales()[columns.start..][..width],
                    sums: &of.sums()[columns.start..][..width],
                },
                _ => LowNumbers::Bf16,
            };
            let size = weight.number_size();
            let product = LowProduct {
                numbers,
                a,
                a_stride,
                b: weight.panels()[panel * weight.stride * size..].as_ptr(),
                b_stride: weight.stride,
                c,
                c_stride: layer.out_features,
                rows,
                columns: columns.len(),
                depth: weight.in_features,
                bias,
                activation,
                scratch,
            };
            // SAFETY: as above; the activations were rounded for this weight.
            unsafe { product.run(*isa) };
        });
    });
    Ok(CpuBackend::view(out, DType::F32, [count, columns]))
}
