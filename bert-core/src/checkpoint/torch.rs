//! Tensors of a `pytorch_model.bin`: a zip archive that holds a pickle (`<name>/data.pkl`, read by
//! [`super::pickle`]) and the bytes of every storage (`<name>/data/<key>`), which are used in place.

use std::ops::Range;
use std::sync::Arc;

use super::pickle::{Description, PickleError, read_state_dict};
use super::stored::Stored;
use super::zip::{Archive, ZipError};
use crate::tensor::ByteSource;

/// Why a PyTorch file was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TorchError {
    /// The file is a bare pickle, as PyTorch wrote it before version 1.6.
    #[error(
        "this is the layout of PyTorch before 1.6, a bare pickle, which is not supported; save it again with \
         `torch.save(torch.load(file, weights_only=True), file)`, or as safetensors"
    )]
    Legacy,
    /// The archive cannot be used.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// The description of the tensors cannot be used.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// The archive has no `data.pkl`, or several.
    #[error("the zip archive holds {found} entries named data.pkl instead of one: PyTorch did not write it")]
    NoPickle {
        /// How many there are.
        found: usize,
    },
    /// The storages were written on a big-endian machine.
    #[error("the numbers are stored in byte order {order:?}; only \"little\" is read")]
    ByteOrder {
        /// What the file says, cut where it gets long.
        order: String,
    },
    /// A tensor refers to a storage that the archive lacks.
    #[error("tensor {tensor:?} lies in storage {entry:?}, which the archive does not hold")]
    NoStorage {
        /// The stored name of the tensor.
        tensor: String,
        /// The archive's name for the storage.
        entry: String,
    },
    /// A tensor reaches beyond its storage.
    #[error(
        "tensor {tensor:?} of shape {shape:?} reaches beyond its storage of {length} bytes; the file is damaged"
    )]
    Bounds {
        /// The stored name of the tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The length of the storage.
        length: usize,
    },
    /// A tensor repeats its storage to a larger shape.
    #[error(
        "tensor {tensor:?} of shape {shape:?} repeats the numbers of a smaller storage; save it after \
         `.contiguous()`"
    )]
    Expanded {
        /// The stored name of the tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
    },
}

/// Whether a file begins as PyTorch's files do since 1.6.
pub(super) fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Whether a file begins with the number by which PyTorch marked its older layout.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19")
}

/// All tensors of a file, by their stored names.
pub(super) fn read(source: &Arc<dyn ByteSource>) -> Result<Vec<(String, Stored)>, TorchError> {
    let bytes = source.bytes();
    // A bare pickle of any protocol; the magic number is not the only beginning.
    if bytes.starts_with(b"\x80") {
        return Err(TorchError::Legacy);
    }
    let archive = Archive::open(bytes)?;
    let root = root(&archive)?;
    if let Some(range) = archive.range(&format!("{root}byteorder"))? {
        let order = bytes[range].trim_ascii();
        if order != b"little" {
            return Err(TorchError::ByteOrder {
                order: String::from_utf8_lossy(&order[..order.len().min(16)]).into_owned(),
            });
        }
    }
    let pickle = archive.range(&format!("{root}data.pkl"))?.ok_or(TorchError::NoPickle { found: 0 })?;
    let tensors = read_state_dict(&bytes[pickle])?;
    tensors
        .into_iter()
        .map(|(name, tensor)| {
            let entry = format!("{root}data/{}", tensor.key);
            let missing = || TorchError::NoStorage { tensor: name.to_owned(), entry: entry.clone() };
            let storage = archive.range(&entry)?.ok_or_else(missing)?;
            let stored = place(name, tensor, source, storage)?;
            Ok((name.to_owned(), stored))
        })
        .collect()
}

/// What every name in the archive begins with, up to and with the slash.
fn root(archive: &Archive<'_>) -> Result<String, TorchError> {
    let mut roots = archive.names().filter_map(|name| {
        let root = std::str::from_utf8(name).ok()?.strip_suffix("data.pkl")?;
        (root.find('/') == Some(root.len().wrapping_sub(1))).then_some(root)
    });
    match (roots.next(), roots.count()) {
        (Some(root), 0) => Ok(root.to_owned()),
        (first, more) => Err(TorchError::NoPickle { found: usize::from(first.is_some()) + more }),
    }
}

/// Puts a described tensor on the bytes of its storage, and checks that it fits.
fn place(
    name: &str,
    tensor: Description<'_>,
    source: &Arc<dyn ByteSource>,
    storage: Range<usize>,
) -> Result<Stored, TorchError> {
    let Description { dtype, storage_length, offset, shape, strides, .. } = tensor;
    let size = dtype.bits() / 8;
    let Some(extent) = extent(&shape, &strides, offset, storage_length, size, storage.len()) else {
        return Err(TorchError::Bounds { tensor: name.to_owned(), shape, length: storage.len() });
    };
    if extent.numbers > storage_length {
        return Err(TorchError::Expanded { tensor: name.to_owned(), shape });
    }
    let start = storage.start + offset * size;
    let range = start..start + extent.span * size;
    let strides = if row_major(&shape, &strides) { None } else { Some(strides) };
    Ok(Stored { dtype, shape, strides, source: source.clone(), range })
}

/// What a tensor takes of its storage.
struct Extent {
    /// How many numbers it has.
    numbers: usize,
    /// From its first to behind its last number, in numbers.
    span: usize,
}

/// `None` if the tensor does not lie inside its storage, or if a product overflows.
fn extent(
    shape: &[usize],
    strides: &[usize],
    offset: usize,
    storage_length: usize,
    size: usize,
    storage_bytes: usize,
) -> Option<Extent> {
    let numbers = shape.iter().try_fold(1usize, |product, &d| product.checked_mul(d))?;
    let span = if numbers == 0 {
        0
    } else {
        let steps = shape
            .iter()
            .zip(strides)
            .try_fold(0usize, |sum, (&d, &stride)| sum.checked_add((d - 1).checked_mul(stride)?))?;
        steps.checked_add(1)?
    };
    let fits =
        offset.checked_add(span)? <= storage_length && storage_length.checked_mul(size)? <= storage_bytes;
    fits.then_some(Extent { numbers, span })
}

/// Whether the elements lie in row-major order without gaps. The stride of an axis of length 1 says nothing.
fn row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut step = 1;
    shape.contains(&0)
        || shape.iter().zip(strides).rev().all(|(&d, &stride)| {
            let in_order = d == 1 || stride == step;
            step *= d;
            in_order
        })
}
