//! Tensors to the device and back.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bert_core::contract::Precision;
use bert_core::tensor::{DType, HostTensor, View};
use half::f16;
use parking_lot::Mutex;
use wgpu::{BufferAsyncError, BufferUsages, MapMode};

use crate::buffer::{Content, Part};
use crate::gpu::Gpu;
use crate::{WgpuBuffer, WgpuError};

/// Columns of a tile of a packed weight: what one workgroup of `gemm.wgsl` makes.
pub(crate) const TILE_COLUMNS: usize = 64;
/// Rows of one, its `DEPTH`.
pub(crate) const TILE_DEPTH: usize = 16;

/// Brings 32-bit numbers to the device. A matrix that is too large for one buffer is split by rows.
pub(crate) fn upload(gpu: &Gpu, bytes: &[u8], shape: &[usize]) -> Result<WgpuBuffer, WgpuError> {
    const OP: &str = "upload";
    let (rows, row_length) = match *shape {
        [rows, columns] => (rows, columns),
        _ => (1, shape.iter().product()),
    };
    let row_bytes = 4 * row_length;
    let most_rows = (most_bytes(gpu) / row_bytes.max(1)).max(1);
    let mut parts = vec![];
    for first in (0..rows).step_by(most_rows) {
        let rows = first..rows.min(first + most_rows);
        let bytes = &bytes[rows.start * row_bytes..rows.end * row_bytes];
        let block = gpu.allocate(OP, bytes.len() as u64, true)?;
        gpu.write(&block, bytes)?;
        parts.push(Part { rows, block });
    }
    gpu.count_upload();
    Ok(WgpuBuffer::new(parts, row_length, Content::Numbers, &gpu.pool))
}

/// Packs a weight `[out_features, in_features]` as the kernels of the product read it: transposed, padded
/// with zeros to whole tiles, and split by columns where it is too large for one buffer.
pub(crate) fn pack(
    gpu: &Gpu,
    weight: &[f32],
    [columns, depth]: [usize; 2],
    precision: Precision,
) -> Result<WgpuBuffer, WgpuError> {
    const OP: &str = "prepare_weight";
    let padded_depth = match precision {
        Precision::Int8 => depth.next_multiple_of(4 * TILE_DEPTH), // a tile is of words of four
        _ => depth.next_multiple_of(TILE_DEPTH),
    };
    let column_bytes = match precision {
        Precision::F16 => 2 * padded_depth,
        Precision::Int8 => padded_depth + size_of::<f32>(), // and a step
        _ => 4 * padded_depth,
    };
    let most_tiles = (most_bytes(gpu) / (column_bytes * TILE_COLUMNS)).max(1);
    let most_columns = most_tiles * TILE_COLUMNS;
    let mut parts = vec![];
    for first in (0..columns).step_by(most_columns) {
        let rows = first..columns.min(first + most_columns);
        let mut write = |bytes: &[u8]| -> Result<(), WgpuError> {
            let block = gpu.allocate(OP, bytes.len() as u64, true)?;
            gpu.write(&block, bytes)?;
            parts.push(Part { rows: rows.clone(), block });
            Ok(())
        };
        let shape = [depth, padded_depth];
        match precision {
            Precision::F16 => {
                write(bytemuck::cast_slice(&transposed(weight, shape, rows.clone(), f16::from_f32)))?;
            }
            Precision::Int8 => write(bytemuck::cast_slice(&quantised(weight, shape, rows.clone())))?,
            _ => write(bytemuck::cast_slice(&transposed(weight, shape, rows.clone(), |x| x)))?,
        }
    }
    gpu.count_upload();
    Ok(WgpuBuffer::new(parts, depth, Content::Packed(precision), &gpu.pool))
}

/// The most bytes of a part.
fn most_bytes(gpu: &Gpu) -> usize {
    usize::try_from(gpu.most_bytes()).unwrap_or(usize::MAX)
}

fn transposed<T: Copy + Default>(
    weight: &[f32],
    [depth, padded_depth]: [usize; 2],
    columns: Range<usize>,
    convert: fn(f32) -> T,
) -> Vec<T> {
    let width = columns.len().next_multiple_of(TILE_COLUMNS);
    let mut packed = vec![T::default(); padded_depth * width];
    for (column, row) in columns.clone().zip(weight[columns.start * depth..].chunks_exact(depth)) {
        let to = packed[column - columns.start..].iter_mut().step_by(width);
        to.zip(row).for_each(|(to, &from)| *to = convert(from));
    }
    packed
}

/// Columns in 8 bits: words of four numbers along the depth, and in a last row the length of each column's
/// step, of which 127 make its largest magnitude.
fn quantised(weight: &[f32], [depth, padded_depth]: [usize; 2], columns: Range<usize>) -> Vec<u32> {
    let width = columns.len().next_multiple_of(TILE_COLUMNS);
    let words = padded_depth / 4;
    let mut packed = vec![0; (words + 1) * width];
    for (column, row) in columns.clone().zip(weight[columns.start * depth..].chunks_exact(depth)) {
        let column = column - columns.start;
        let largest = row.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        // What is not finite must not look as if it were.
        let step = if row.iter().all(|x| x.is_finite()) { largest / 127.0 } else { f32::NAN };
        packed[words * width + column] = step.to_bits();
        if !step.is_normal() {
            continue; // all zeros, or as good as that, or no numbers
        }
        for (word, numbers) in row.chunks(4).enumerate() {
            let mut bytes = [0; 4];
            for (byte, number) in bytes.iter_mut().zip(numbers) {
                *byte = (number / step).round_ties_even().clamp(-127.0, 127.0) as i8 as u8;
            }
            packed[word * width + column] = u32::from_le_bytes(bytes);
        }
    }
    packed
}

/// Brings contiguous views back, all with one wait.
pub(crate) async fn download(gpu: &Gpu, views: &[View<WgpuBuffer>]) -> Result<Vec<HostTensor>, WgpuError> {
    const OP: &str = "download";
    let mut copies = vec![];
    let mut total = 0;
    for view in views {
        let wanted = view.offset()..view.offset() + view.shape().elements();
        let row = view.buffer().row_length();
        for part in view.buffer().parts(OP)? {
            let there = part.rows.start * row..part.rows.end * row;
            let (start, end) = (wanted.start.max(there.start), wanted.end.min(there.end));
            if start < end {
                let bytes = 4 * (end - start) as u64;
                copies.push((part.block.buffer.clone(), 4 * (start - there.start) as u64, total, bytes));
                total += bytes;
            }
        }
    }
    if total == 0 {
        return Ok(views.iter().map(|view| host_tensor(view, &[])).collect());
    }
    let staging = gpu.create_buffer(total, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
    gpu.flush(|encoder| {
        for (from, from_offset, to_offset, bytes) in &copies {
            encoder.copy_buffer_to_buffer(from, *from_offset, &staging, *to_offset, *bytes);
        }
    })?;
    gpu.count_download(total);
    map(gpu, &staging).await?;
    let tensors = {
        let bytes = staging.get_mapped_range(..).map_err(|error| refused(&error))?;
        let mut start = 0;
        views
            .iter()
            .map(|view| {
                let length = 4 * view.shape().elements();
                start += length;
                host_tensor(view, &bytes[start - length..start])
            })
            .collect()
    };
    staging.unmap();
    gpu.check()?;
    Ok(tensors)
}

fn host_tensor(view: &View<WgpuBuffer>, bytes: &[u8]) -> HostTensor {
    match view.dtype() {
        DType::U32 => HostTensor::from_vec(bytemuck::pod_collect_to_vec::<u8, u32>(bytes), view.shape()),
        _ => HostTensor::from_vec(bytemuck::pod_collect_to_vec::<u8, f32>(bytes), view.shape()),
    }
}

/// Waits until all that was submitted is done.
pub(crate) async fn finish(gpu: &Gpu) -> Result<(), WgpuError> {
    gpu.flush(|_| ())?;
    let done = Signal::default();
    let sender = done.clone();
    gpu.queue.on_submitted_work_done(move || sender.send(Ok(())));
    gpu.wait();
    done.receive(gpu).await?;
    gpu.check()
}

async fn map(gpu: &Gpu, staging: &wgpu::Buffer) -> Result<(), WgpuError> {
    let done = Signal::default();
    let sender = done.clone();
    staging.map_async(MapMode::Read, .., move |result| sender.send(result));
    gpu.wait();
    done.receive(gpu).await
}

fn refused(error: &dyn std::error::Error) -> WgpuError {
    WgpuError::Refused { description: error.to_string() }
}

/// What a callback of the device brings to the future that waits for it. On native targets the callback has
/// run before the future is looked at; in a browser it wakes the future.
#[derive(Clone, Default)]
struct Signal(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    result: Option<Result<(), BufferAsyncError>>,
    waker: Option<Waker>,
}

impl Signal {
    fn send(&self, result: Result<(), BufferAsyncError>) {
        let mut state = self.0.lock();
        state.result = Some(result);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    async fn receive(&self, gpu: &Gpu) -> Result<(), WgpuError> {
        let result = poll_fn(|context| {
            let mut state = self.0.lock();
            if let Some(result) = state.result.take() {
                return Poll::Ready(result);
            }
            // After a native wait the callback never comes if it has not come by now.
            if cfg!(not(target_family = "wasm")) {
                return Poll::Ready(Err(BufferAsyncError));
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        // The reason, if it is known, says more than that mapping failed.
        gpu.check()?;
        result.map_err(|error| refused(&error))
    }
}
