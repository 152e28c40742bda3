//! Products of matrices, cut into tasks: of activations with a packed weight, and of any two views.

use std::ops::Range;

use bert_core::Result;
use bert_core::contract::{Activation, Linear, ReduceOp};
use bert_core::tensor::{DType, Shape, View};

use crate::buffer::{CpuBuffer, dense, rows};
use crate::cpu::Cpu;
use crate::kernels::gemm::{Product, scratch_length};
use crate::kernels::low::{LowNumbers, LowProduct, Rounded};
use crate::kernels::pack::{Numbers, Strided};
use crate::kernels::rows::reduce;
use crate::kernels::transpose::{STRIP, Transpose};
use crate::memory::with_scratch;
use crate::thread_pool::{Shareable, ThreadPool};

/// Rows of the left matrix in a task of a product, give or take a half: 768 columns of so many fit in a second cache of
/// 512 KiB, beside a panel and the sums.
const TASK_ROWS: usize = 96;
/// Panels of f32 of the right matrix in a task of a product, at most: fewer would fetch the rows too often, and
/// more leave a thread longer alone with the last task.
const TASK_PANELS: usize = 4;
/// The fewest rows of a thread's own that are worth reading all of the weight for.
const OWN_ROWS: usize = 48;

/// `activation(x Wᵀ + b)`, all `[rows, features]`.
pub(crate) fn linear(
    cpu: &Cpu,
    x: &View<CpuBuffer>,
    layer: &Linear<CpuBuffer>,
    activation: Activation,
) -> Result<View<CpuBuffer>> {
    const OP: &str = "linear";
    let Cpu { pool, isa, arena } = cpu;
    let weight = layer.weight.packed(OP)?;
    let x = if x.strides()[1] == 1 { x.clone() } else { cpu.contiguous(OP, x)? };
    let bias = layer.bias.as_ref().map(|bias| cpu.contiguous(OP, bias)).transpose()?;
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

    let base = Shareable::new(out.as_mut_slice().as_mut_ptr());
    let x_stride = x.strides()[0];
    // Panels of fewer bits take less time.
    let most = if rounded.is_none() { TASK_PANELS } else { 2 * TASK_PANELS };
    in_tasks(pool, count, columns, weight.width, most, |rows, panel, columns| {
        let (first, rows) = (rows.start, rows.len());
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
    Ok(Cpu::view(out, DType::F32, [count, columns]))
}

/// Cuts a product into tasks, `task(rows, first panel, columns)`, of so many panels at most. How it is cut changes no
/// number, see [`gemm`](crate::kernels::gemm).
fn in_tasks(
    pool: &ThreadPool,
    count: usize,
    columns: usize,
    width: usize,
    most: usize,
    task: impl Fn(Range<usize>, usize, Range<usize>) + Sync,
) {
    let blocks = ((count + TASK_ROWS / 2) / TASK_ROWS).max(1);
    let threads = pool.threads();
    // As many blocks for each thread, where there are rows enough: it then meets the rows that it wrote.
    let blocks = if count >= threads * OWN_ROWS { blocks.next_multiple_of(threads) } else { blocks };
    let panels = columns.div_ceil(width);
    let group = (panels * blocks).div_ceil(8 * threads).clamp(1, most);
    let groups = panels.div_ceil(group);
    pool.run(groups * blocks, |index| {
        // Tasks that follow one another share their rows, which thus stay in the second cache.
        let (block, panel) = (index / groups, index % groups * group);
        let rows = block * count / blocks..(block + 1) * count / blocks;
        task(rows, panel, panel * width..columns.min((panel + group) * width));
    });
}

/// The gradients of a linear layer's weight, `dyᵀ x`, and of its bias, the sum of the rows of `dy`: from `x [rows, in]`
/// and `dy [rows, out]`.
pub(crate) fn weight_gradient(
    cpu: &Cpu,
    x: &View<CpuBuffer>,
    dy: &View<CpuBuffer>,
) -> Result<[View<CpuBuffer>; 2]> {
    const OP: &str = "weight_gradient";
    let Cpu { pool, isa, arena } = cpu;
    let by_rows =
        |x: &View<CpuBuffer>| if x.strides()[1] == 1 { Ok(x.clone()) } else { cpu.contiguous(OP, x) };
    let (x, dy) = (by_rows(x)?, by_rows(dy)?);
    let (depth, inner, outer) = (x.shape()[0], x.shape()[1], dy.shape()[1]);
    let (x_stride, dy_stride) = (x.strides()[0], dy.strides()[0]);
    let (x, dy) = (&x.buffer().f32(OP)?[x.offset()..], &dy.buffer().f32(OP)?[dy.offset()..]);
    // What the pointers below rely on.
    assert!((depth - 1) * x_stride + inner <= x.len() && (depth - 1) * dy_stride + outer <= dy.len());

    // dyᵀ and the sums of its rows, which are then in the first cache.
    let mut left = arena.take::<f32>(outer * depth);
    let mut bias = arena.take::<f32>(outer);
    let sums = Shareable::new(bias.as_mut_slice().as_mut_ptr());
    pool.run_pieces(left.as_mut_slice(), STRIP * depth, |strip, piece| {
        let (first, rows) = (strip * STRIP, piece.len() / depth);
        // SAFETY: rows of dyᵀ that exist, as was checked; the piece and these sums belong to this task alone.
        unsafe {
            let from = dy.as_ptr().add(first);
            let to = piece.as_mut_ptr();
            Transpose { from, from_stride: dy_stride, to, to_stride: depth, rows, columns: depth }.run(*isa);
            for (i, row) in piece.chunks_exact(depth).enumerate() {
                *sums.at(first + i) = reduce(*isa, ReduceOp::Sum, row);
            }
        }
    });
    let left = left.as_mut_slice();

    let width = 2 * isa.lanes();
    let b_stride = depth * width;
    let mut panels = arena.take::<f32>(inner.div_ceil(width) * b_stride);
    pool.run_pieces(panels.as_mut_slice(), b_stride, |panel, piece| {
        let columns = width.min(inner - panel * width);
        let from = x[panel * width..].as_ptr();
        let part = Strided { from, depth, depth_stride: x_stride, columns, column_stride: 1 };
        // SAFETY: columns of x that exist, as was checked.
        unsafe { part.pack(*isa, piece, width) };
    });
    let panels = panels.as_mut_slice();

    let mut weight = arena.take::<f32>(outer * inner);
    let base = Shareable::new(weight.as_mut_slice().as_mut_ptr());
    let (left, panels) = (&*left, &*panels);
    in_tasks(pool, outer, inner, width, TASK_PANELS, |rows, panel, columns| {
        with_scratch(scratch_length(*isa, rows.len(), columns.len()), |scratch: &mut [f32]| {
            let product = Product {
                a: left[rows.start * depth..].as_ptr(),
                a_stride: depth,
                b: panels[panel * b_stride..].as_ptr(),
                b_stride,
                c: base.at(rows.start * inner + columns.start),
                c_stride: inner,
                rows: rows.len(),
                columns: columns.len(),
                depth,
                bias: None,
                activation: Activation::Identity,
                scratch: scratch.as_mut_ptr(),
            };
            // SAFETY: rows and panels were just made; this part of the output belongs to this task alone.
            unsafe { product.run(*isa) };
        });
    });
    Ok([Cpu::view(weight, DType::F32, [outer, inner]), Cpu::view(bias, DType::F32, [outer])])
}

/// The product of any two views: B is packed on the way, once, and A copied where its rows are not dense.
pub(crate) fn matmul(cpu: &Cpu, a: &View<CpuBuffer>, b: &View<CpuBuffer>) -> Result<View<CpuBuffer>> {
    const OP: &str = "matmul";
    let rank = a.shape().rank();
    let a = if a.strides()[rank - 1] == 1 { a.clone() } else { cpu.contiguous(OP, a)? };
    let (m, k, n) = (a.shape()[rank - 2], a.shape()[rank - 1], b.shape()[rank - 1]);
    assert_eq!(b.shape()[rank - 2], k, "the inner extents of a product are equal");
    let mut shape = a.shape().to_vec();
    shape[rank - 1] = n;
    let batch: usize = shape[..rank - 2].iter().product();
    let (a_data, b_data) = (a.buffer().f32(OP)?, b.buffer().f32(OP)?);
    // The last element that a view reaches: what the pointers below rely on.
    let end = |view: &View<CpuBuffer>| {
        (0..rank).fold(view.offset(), |end, axis| end + (view.shape()[axis] - 1) * view.strides()[axis])
    };
    assert!(end(&a) < a_data.len() && end(b) < b_data.len());
    // Where matrix `index` of a batch starts.
    let start = |view: &View<CpuBuffer>, mut index: usize| {
        let mut offset = view.offset();
        for axis in (0..rank - 2).rev() {
            offset += index % view.shape()[axis] * view.strides()[axis];
            index /= view.shape()[axis];
        }
        offset
    };

    let Cpu { pool, isa, arena } = cpu;
    let width = 2 * isa.lanes();
    let panels = n.div_ceil(width);
    let group = (panels * batch).div_ceil(4 * pool.threads()).clamp(1, TASK_PANELS);
    let groups = panels.div_ceil(group);
    let mut out = arena.take::<f32>(batch * m * n);
    let base = Shareable::new(out.as_mut_slice().as_mut_ptr());
    pool.run(batch * groups, |task| {
        let (matrix, first) = (task / groups, task % groups * group);
        let columns = first * width..n.min((first + group) * width);
        let mut packed = arena.take::<f32>(columns.len().next_multiple_of(width) * k);
        let packed = packed.as_mut_slice();
        let mut scratch = arena.take::<f32>(scratch_length(*isa, m.min(TASK_ROWS), columns.len()));
        let (depth_stride, column_stride) = (b.strides()[rank - 2], b.strides()[rank - 1]);
        let from = b_data[start(b, matrix) + columns.start * column_stride..].as_ptr();
        let b = Strided { from, depth: k, depth_stride, columns: columns.len(), column_stride };
        // SAFETY: inside the view, whose end was checked.
        unsafe { b.pack(*isa, packed, width) };
        for row in (0..m).step_by(TASK_ROWS) {
            let a_stride = a.strides()[rank - 2];
            // SAFETY: inside the view of A, whose end was checked; this part of the output belongs to this
            // task alone.
            unsafe {
                Product {
                    a: a_data.as_ptr().add(start(&a, matrix) + row * a_stride),
                    a_stride,
                    b: packed.as_ptr(),
                    b_stride: k * width,
                    c: base.at((matrix * m + row) * n + columns.start),
                    c_stride: n,
                    rows: TASK_ROWS.min(m - row),
                    columns: columns.len(),
                    depth: k,
                    bias: None,
                    activation: Activation::Identity,
                    scratch: scratch.as_mut_slice().as_mut_ptr(),
                }
                .run(*isa);
            }
        }
    });
    Ok(Cpu::view(out, DType::F32, Shape::new(&shape)?))
}
