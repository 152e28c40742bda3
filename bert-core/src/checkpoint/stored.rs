//! A tensor as it lies in a file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;
use half::{bf16, f16};

use crate::Result;
use crate::tensor::{ByteSource, DType, Element, HostTensor, Shape};

/// The kind of number in which a file holds a tensor. Files may hold more kinds than this crate computes
/// with; such tensors can be listed, not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredType {
    /// One of the kinds that a [`HostTensor`] can hold.
    Native(DType),
    /// Any other.
    Foreign {
        /// The file format's name for it.
        name: String,
        /// How many bits a number takes.
        bits: usize,
    },
}

impl StoredType {
    /// How many bits a number takes.
    pub fn bits(&self) -> usize {
        match self {
            Self::Native(dtype) => dtype.size() * 8,
            Self::Foreign { bits, .. } => *bits,
        }
    }

    /// Whether these are floating-point numbers that can be widened to f32.
    pub fn is_float(&self) -> bool {
        matches!(self, Self::Native(DType::F64 | DType::F32 | DType::F16 | DType::Bf16))
    }
}

impl fmt::Display for StoredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native(dtype) => dtype.fmt(f),
            Self::Foreign { name, .. } => f.write_str(name),
        }
    }
}

/// Where a tensor lies. Whoever makes one has checked that the bytes are there: `bytes` lies inside the
/// source and holds every element that `shape` and `strides` reach.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) dtype: StoredType,
    pub(super) shape: Vec<usize>,
    /// In elements, if they do not lie in row-major order without gaps.
    pub(super) strides: Option<Vec<usize>>,
    pub(super) source: Arc<dyn ByteSource>,
    pub(super) range: Range<usize>,
}

impl Stored {
    fn bytes(&self) -> &[u8] {
        &self.source.bytes()[self.range.clone()]
    }

    /// The tensor on the host: shared with the file where its elements lie in order, copied else. The
    /// caller has made sure that the type is native.
    pub(super) fn load(&self, dtype: DType) -> Result<HostTensor> {
        let shape = Shape::new(&self.shape)?;
        match &self.strides {
            None => HostTensor::from_source(self.source.clone(), self.range.clone(), dtype, shape),
            Some(strides) => Ok(match dtype {
                DType::F64 => self.gather::<f64>(strides, shape),
                DType::F32 => self.gather::<f32>(strides, shape),
                DType::F16 => self.gather::<f16>(strides, shape),
                DType::Bf16 => self.gather::<bf16>(strides, shape),
                DType::I64 => self.gather::<i64>(strides, shape),
                DType::I32 => self.gather::<i32>(strides, shape),
                DType::U32 => self.gather::<u32>(strides, shape),
                DType::I8 => self.gather::<i8>(strides, shape),
                DType::U8 => self.gather::<u8>(strides, shape),
            }),
        }
    }

    fn gather<T: Element>(&self, strides: &[usize], shape: Shape) -> HostTensor {
        let bytes = self.bytes();
        let mut values = Vec::with_capacity(shape.elements());
        let mut index = vec![0; shape.rank()];
        let mut position = 0;
        for _ in 0..shape.elements() {
            values.push(number::<T>(&bytes[position * size_of::<T>()..][..size_of::<T>()]));
            // The next index in row-major order, as an odometer counts.
            for axis in (0..shape.rank()).rev() {
                index[axis] += 1;
                position += strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                position -= shape[axis] * strides[axis];
                index[axis] = 0;
            }
        }
        HostTensor::from_vec(values, shape)
    }

    /// Whether both hold the same numbers in the same type and shape.
    pub(super) fn equals(&self, other: &Self) -> bool {
        if self.dtype != other.dtype || self.shape != other.shape {
            return false;
        }
        match (&self.strides, &other.strides, &self.dtype) {
            (None, None, _) => self.bytes() == other.bytes(),
            (_, _, &StoredType::Native(dtype)) => match (self.load(dtype), other.load(dtype)) {
                (Ok(one), Ok(two)) => one.bytes() == two.bytes(),
                _ => false,
            },
            _ => false,
        }
    }

    /// How many of the numbers are infinite or no number. Integers are all finite.
    pub(super) fn non_finite(&self) -> usize {
        let StoredType::Native(dtype) = self.dtype else { return 0 };
        // Elements outside the tensor may lie between those of a strided one.
        let copy = self.strides.as_ref().and_then(|_| self.load(dtype).ok());
        let bytes = copy.as_ref().map_or(self.bytes(), HostTensor::bytes);
        // A number is not finite where all bits of its exponent are set.
        match dtype {
            DType::F64 => count::<u64>(bytes, |bits| bits & 0x7ff0_0000_0000_0000 == 0x7ff0_0000_0000_0000),
            DType::F32 => count::<u32>(bytes, |bits| bits & 0x7f80_0000 == 0x7f80_0000),
            DType::F16 => count::<u16>(bytes, |bits| bits & 0x7c00 == 0x7c00),
            DType::Bf16 => count::<u16>(bytes, |bits| bits & 0x7f80 == 0x7f80),
            DType::I64 | DType::I32 | DType::U32 | DType::I8 | DType::U8 => 0,
        }
    }

    /// Lets the mapped pages of this tensor leave memory.
    pub(super) fn release(&self) {
        self.source.release(self.range.clone());
    }

    /// Rows of int8 times the scale of their row, as f32.
    ///
    /// The caller has checked the types and that there is a scale a row.
    pub(super) fn dequantise(&self, scales: &Self) -> Result<HostTensor> {
        let shape = Shape::new(&self.shape)?;
        let quantised = self.load(DType::I8)?;
        let scales = scales.load(DType::F32)?;
        let width = shape.iter().skip(1).product::<usize>().max(1);
        let rows = quantised.bytes().chunks_exact(width);
        let mut values = Vec::with_capacity(shape.elements());
        for (row, scale) in rows.zip(scales.to_f32()?.iter()) {
            values.extend(row.iter().map(|&q| f32::from(q as i8) * scale));
        }
        self.release();
        Ok(HostTensor::from_vec(values, shape))
    }
}

/// A number at any address.
fn number<T: Pod>(bytes: &[u8]) -> T {
    bytemuck::pod_read_unaligned(bytes)
}

fn count<T: Pod>(bytes: &[u8], wanted: impl Fn(T) -> bool) -> usize {
    bytes.chunks_exact(size_of::<T>()).filter(|bytes| wanted(number(bytes))).count()
}
