//! What a view of this backend looks at.

use std::borrow::Cow;

use bert_core::tensor::{DType, HostTensor, View};
use bytemuck::Pod;

use crate::CpuError;
use crate::kernels::pack::PackedMatrix;
use crate::kernels::rows::Rows;
use crate::memory::Shared;

/// A block of numbers in main memory: an intermediate result, a tensor of the host used in place (perhaps a
/// mapped file), or a packed weight. Cloning shares it.
#[derive(Clone, Debug)]
pub struct CpuBuffer(pub(crate) Storage);

#[derive(Clone, Debug)]
pub(crate) enum Storage {
    /// Recycled memory that holds numbers of one kind.
    Block(Shared, DType),
    /// A tensor whose bytes are aligned for its kind of number.
    Host(HostTensor),
    /// What `prepare_weight` makes.
    Packed(PackedMatrix),
}

impl CpuBuffer {
    fn slice<T: Pod>(
        &self,
        op: &'static str,
        expected: &'static str,
        dtype: DType,
    ) -> Result<&[T], CpuError> {
        let found = match &self.0 {
            Storage::Block(block, found) if *found == dtype => return Ok(block.as_slice()),
            Storage::Host(tensor) if tensor.dtype() == dtype => {
                return Ok(bytemuck::cast_slice(tensor.bytes()));
            }
            Storage::Packed(_) => "a packed weight",
            Storage::Block(..) | Storage::Host(_) => "numbers of another kind",
        };
        Err(CpuError::Buffer { op, expected, found })
    }

    pub(crate) fn f32(&self, op: &'static str) -> Result<&[f32], CpuError> {
        self.slice(op, "f32 numbers", DType::F32)
    }

    pub(crate) fn u32(&self, op: &'static str) -> Result<&[u32], CpuError> {
        self.slice(op, "u32 numbers", DType::U32)
    }

    pub(crate) fn packed(&self, op: &'static str) -> Result<&PackedMatrix, CpuError> {
        match &self.0 {
            Storage::Packed(matrix) => Ok(matrix),
            _ => Err(CpuError::Buffer { op, expected: "a packed weight", found: "plain numbers" }),
        }
    }
}

/// The rows of a view of `f32`.
pub(crate) fn rows<'a>(op: &'static str, view: &'a View<CpuBuffer>) -> Result<Rows<'a, f32>, CpuError> {
    Ok(Rows::new(view, view.buffer().f32(op)?))
}

/// The numbers of a contiguous view of `f32`, as one slice.
pub(crate) fn dense<'a>(op: &'static str, view: &'a View<CpuBuffer>) -> Result<&'a [f32], CpuError> {
    debug_assert!(view.is_contiguous());
    Ok(&view.buffer().f32(op)?[view.offset()..][..view.shape().elements()])
}

/// The numbers of a view of `u32`, copied only where they do not lie side by side.
pub(crate) fn indices<'a>(op: &'static str, view: &'a View<CpuBuffer>) -> Result<Cow<'a, [u32]>, CpuError> {
    let (all, length) = (view.buffer().u32(op)?, view.shape().elements());
    if view.is_contiguous() {
        return Ok(all[view.offset()..][..length].into());
    }
    let mut copy = vec![0; length];
    Rows::new(view, all).copy(0, &mut copy);
    Ok(copy.into())
}
