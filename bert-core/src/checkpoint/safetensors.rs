//! Tensors of a `.safetensors` file: a JSON header and one block of bytes.

use std::sync::Arc;

use ::safetensors::tensor::{Dtype, Metadata};

use super::stored::{Stored, StoredType};
use crate::tensor::{ByteSource, DType};

/// Largest header that is read, as in the format's own library.
const MAX_HEADER: usize = 100_000_000;
const LENGTH: usize = size_of::<u64>();
/// Most axes of a tensor: those of PyTorch, far more than a model has.
const MAX_AXES: usize = 64;

/// Why a safetensors file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SafetensorsError {
    /// The first eight bytes announce a header that the file is too short for, or that no file has.
    #[error(
        "the header should take {announced} bytes, but the file has {found}: it is truncated or not a \
         safetensors file; download it again"
    )]
    Header {
        /// The length that the file states, in bytes.
        announced: u64,
        /// The length of the file, in bytes.
        found: usize,
    },
    /// The header is not JSON, or its types, shapes and offsets contradict each other.
    #[error("the header is damaged; download or export the file again")]
    Json(#[source] serde_json::Error),
    /// The tensors of the header and the rest of the file differ in length.
    #[error(
        "the header describes {described} bytes of tensors, but the file holds {found}: it is truncated; \
         download it again"
    )]
    Length {
        /// The end of the last tensor, in bytes.
        described: usize,
        /// What follows the header, in bytes.
        found: usize,
    },
    /// A tensor has more axes than any program can use.
    #[error("a tensor has {axes} axes; the header is damaged")]
    Axes {
        /// How many.
        axes: usize,
    },
}

/// All tensors of a file, by their stored names.
pub(super) fn read(source: &Arc<dyn ByteSource>) -> Result<Vec<(String, Stored)>, SafetensorsError> {
    let bytes = source.bytes();
    let (header, data_at) = header(bytes)?;
    // `SafeTensors::read_metadata` would do this and the framing; its sum of lengths can overflow when the
    // offsets lie, so the framing is done here and only the header is left to the library.
    let metadata: Metadata = serde_json::from_slice(header).map_err(SafetensorsError::Json)?;
    let (described, found) = (metadata.data_len(), bytes.len() - data_at);
    if described != found {
        return Err(SafetensorsError::Length { described, found });
    }
    let tensors = metadata.tensors();
    if let Some(axes) = tensors.values().map(|info| info.shape.len()).find(|&axes| axes > MAX_AXES) {
        return Err(SafetensorsError::Axes { axes });
    }
    let tensors = tensors.into_iter().map(|(name, info)| {
        let (start, end) = info.data_offsets;
        let stored = Stored {
            dtype: stored_type(info.dtype),
            shape: info.shape.clone(),
            strides: None,
            source: source.clone(),
            range: data_at + start..data_at + end,
        };
        (name, stored)
    });
    Ok(tensors.collect())
}

/// The bytes of the header, and where the tensors begin.
fn header(bytes: &[u8]) -> Result<(&[u8], usize), SafetensorsError> {
    let too_short = SafetensorsError::Header { announced: LENGTH as u64, found: bytes.len() };
    let (announced, rest) = bytes.split_first_chunk().ok_or(too_short)?;
    let announced = u64::from_le_bytes(*announced);
    let length = usize::try_from(announced).ok().filter(|&length| length <= MAX_HEADER);
    let header = length.and_then(|length| rest.get(..length));
    let header = header.ok_or(SafetensorsError::Header { announced, found: bytes.len() })?;
    Ok((header, LENGTH + header.len()))
}

fn stored_type(dtype: Dtype) -> StoredType {
    StoredType::Native(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::Bf16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::U32 => DType::U32,
        Dtype::I8 => DType::I8,
        Dtype::U8 => DType::U8,
        other => return StoredType::Foreign { name: other.to_string(), bits: other.bitsize() },
    })
}
