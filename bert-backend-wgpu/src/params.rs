//! Views as the kernels see them: words of a uniform buffer.

use bert_core::tensor::View;

use crate::{WgpuBuffer, WgpuError};

/// `View` of `common.wgsl`: shape and strides of four axes, missing ones in front, then offset and length.
pub(crate) fn view(op: &'static str, view: &View<WgpuBuffer>) -> Result<[u32; 12], WgpuError> {
    let mut words = [0; 12];
    words[..4].fill(1);
    let missing = 4 - view.shape().rank();
    for (axis, (&extent, &stride)) in view.shape().iter().zip(view.strides()).enumerate() {
        words[missing + axis] = extent as u32;
        words[4 + missing + axis] = stride as u32;
    }
    let length = view.shape().elements();
    // Offsets lie inside a buffer that a shader can see. A broadcast view may still be longer than it can count.
    words[9] = u32::try_from(length).map_err(|_| WgpuError::TooLarge {
        op,
        bytes: 4 * length as u64,
        limit: 4 * u64::from(u32::MAX),
    })?;
    words[8] = view.offset() as u32;
    Ok(words)
}

/// `Rows` of `common.wgsl`: offset, stride of rows, stride of columns, extent of a row.
pub(crate) fn rows(view: &View<WgpuBuffer>) -> [u32; 4] {
    let strides = view.strides();
    [view.offset() as u32, strides[0] as u32, strides[1] as u32, view.shape()[1] as u32]
}

/// Offset and stride of a vector.
pub(crate) fn vector(view: &View<WgpuBuffer>) -> [u32; 2] {
    [view.offset() as u32, view.strides()[0] as u32]
}

/// Whether rows can be read four numbers at once.
pub(crate) fn is_dense(view: &View<WgpuBuffer>) -> bool {
    let (shape, strides) = (view.shape(), view.strides());
    (strides[1] == 1 || shape[1] == 1)
        && shape[1].is_multiple_of(4)
        && view.offset().is_multiple_of(4)
        && (strides[0].is_multiple_of(4) || shape[0] == 1)
}
