//! Tensors on the host and views of tensors on a device.
//!
//! * [`HostTensor`] is a block of numbers in main memory, owned or memory-mapped; `ndarray` is its face.
//! * [`View`] is how a [`Backend`](crate::Backend) sees its own buffers: a buffer, a shape and strides.
//!   Slicing, permuting and broadcasting a view moves no data.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;
use half::{bf16, f16};
use ndarray::{Array, ArrayD, ArrayViewD, CowArray, Dimension, IxDyn};

use crate::{Error, Result};

/// The kind of number a tensor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum DType {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    U32,
    I8,
    U8,
}

impl DType {
    /// Bytes that one number takes.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::I8 => "i8",
            Self::U8 => "u8",
        })
    }
}

/// The highest rank a tensor can have here.
pub const MAX_RANK: usize = 4;

/// Up to [`MAX_RANK`] extents, outermost first. It reads like a slice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; MAX_RANK],
    rank: usize,
}

impl Shape {
    /// A shape with these extents.
    ///
    /// # Errors
    /// [`Error::Shape`] for more than [`MAX_RANK`] extents, or if their product overflows.
    pub fn new(dims: &[usize]) -> Result<Self> {
        let product = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if dims.len() > MAX_RANK || product.and_then(|n| n.checked_mul(8)).is_none() {
            return Err(Error::Shape {
                op: "shape",
                expected: format!("at most {MAX_RANK} extents that fit in memory"),
                found: dims.to_vec(),
            });
        }
        let mut shape = Self { dims: [1; MAX_RANK], rank: dims.len() };
        shape.dims[..dims.len()].copy_from_slice(dims);
        Ok(shape)
    }

    /// How many extents there are.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many numbers a tensor of this shape holds.
    pub fn elements(&self) -> usize {
        self.iter().product()
    }

    /// The strides, in elements, of a row-major tensor of this shape.
    pub fn contiguous_strides(&self) -> [usize; MAX_RANK] {
        let mut strides = [0; MAX_RANK];
        let mut step = 1;
        for axis in (0..self.rank).rev() {
            strides[axis] = step;
            step *= self.dims[axis];
        }
        strides
    }
}

impl std::ops::Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.dims[..self.rank]
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    /// For shapes written in code. A rank above [`MAX_RANK`] does not compile.
    fn from(dims: [usize; N]) -> Self {
        const { assert!(N <= MAX_RANK) };
        let mut shape = Self { dims: [1; MAX_RANK], rank: N };
        shape.dims[..N].copy_from_slice(&dims);
        shape
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A Rust number type that a [`HostTensor`] can hold.
pub trait Element: Pod + Send + Sync + private::Sealed {
    /// The matching [`DType`].
    const DTYPE: DType;
}

mod private {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident),*) => {$(
        impl private::Sealed for $rust {}
        impl Element for $rust {
            const DTYPE: DType = DType::$dtype;
        }
    )*};
}
elements!(f64 => F64, f32 => F32, f16 => F16, bf16 => Bf16, i64 => I64, i32 => I32, u32 => U32, i8 => I8, u8 => U8);

/// Bytes that outlive their reader: an owned vector, or a memory-mapped file.
pub trait ByteSource: Send + Sync {
    /// All bytes of the source.
    fn bytes(&self) -> &[u8];

    /// Says that these bytes will hardly be read again, so that mapped pages may leave memory. Reading
    /// them later is still right, only slower. Owned memory ignores it.
    fn release(&self, range: Range<usize>) {
        let _ = range;
    }
}

impl<T: Element> ByteSource for Vec<T> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

/// A row-major tensor in main memory. Cloning shares the bytes.
///
/// ```
/// use bert_core::tensor::HostTensor;
/// let weight = HostTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2]);
/// assert_eq!(weight.to_f32()?[[1, 0]], 3.0);
/// # Ok::<(), bert_core::Error>(())
/// ```
#[derive(Clone)]
pub struct HostTensor {
    dtype: DType,
    shape: Shape,
    source: Arc<dyn ByteSource>,
    range: Range<usize>,
}

impl HostTensor {
    /// A tensor that owns `values`.
    ///
    /// # Panics
    /// If `values` does not hold exactly as many numbers as `shape` says: that is a bug in the caller,
    /// not a property of its input.
    pub fn from_vec<T: Element>(values: Vec<T>, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        assert_eq!(values.len(), shape.elements(), "{shape:?} does not hold {} values", values.len());
        let range = 0..size_of_val(values.as_slice());
        Self { dtype: T::DTYPE, shape, source: Arc::new(values), range }
    }

    /// A tensor `[values]` of numbers that others hold too, without a copy.
    pub(crate) fn shared<T: Element>(values: &Arc<Vec<T>>) -> Self {
        let range = 0..size_of_val(values.as_slice());
        Self { dtype: T::DTYPE, shape: [values.len()].into(), source: values.clone(), range }
    }

    /// A tensor that owns the numbers of `array`, copied only if they are not in row-major order.
    ///
    /// # Errors
    /// [`Error::Shape`] for a rank above [`MAX_RANK`].
    pub fn from_array<T: Element, D: Dimension>(array: Array<T, D>) -> Result<Self> {
        let shape = Shape::new(array.shape())?;
        let values = if array.is_standard_layout() {
            array.into_raw_vec_and_offset().0
        } else {
            array.iter().copied().collect()
        };
        // A sliced owned array keeps spare numbers before or after its own.
        if values.len() != shape.elements() {
            return Err(Error::Shape {
                op: "from_array",
                expected: "an unsliced array".into(),
                found: shape.to_vec(),
            });
        }
        Ok(Self::from_vec(values, shape))
    }

    /// A tensor over a byte range of a shared source such as a mapped file.
    ///
    /// # Errors
    /// [`Error::Shape`] if the range lies outside the source or is not exactly as long as `shape` needs.
    pub fn from_source(
        source: Arc<dyn ByteSource>,
        range: Range<usize>,
        dtype: DType,
        shape: impl Into<Shape>,
    ) -> Result<Self> {
        let shape = shape.into();
        let length = range.end.checked_sub(range.start);
        if length != Some(shape.elements() * dtype.size()) || range.end > source.bytes().len() {
            return Err(Error::Shape {
                op: "from_source",
                expected: format!(
                    "a shape of {dtype} that fills bytes {range:?} of {}",
                    source.bytes().len()
                ),
                found: shape.to_vec(),
            });
        }
        Ok(Self { dtype, shape, source, range })
    }

    /// The kind of number.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The raw little-endian bytes, row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.source.bytes()[self.range.clone()]
    }

    /// The numbers without a copy, if they are of type `T` and lie on an address that `T` can be read from
    /// (a mapped file need not be aligned).
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        (T::DTYPE == self.dtype).then(|| bytemuck::try_cast_slice(self.bytes()).ok()).flatten()
    }

    /// The numbers as an array without a copy; `None` where [`as_slice`](Self::as_slice) gives none.
    pub fn as_array<T: Element>(&self) -> Option<ArrayViewD<'_, T>> {
        self.as_slice().and_then(|values| ArrayViewD::from_shape(IxDyn(&self.shape), values).ok())
    }

    /// The numbers as `f32`, widened or narrowed from any float type; copied only where needed.
    ///
    /// # Errors
    /// [`Error::DType`] for integers: they are ids, or quantised numbers that mean nothing without a scale.
    pub fn to_f32(&self) -> Result<CowArray<'_, f32, IxDyn>> {
        self.floats("to_f32", |x| x as f32, |x| x, f16::to_f32, bf16::to_f32)
    }

    /// The numbers as `f64`, as [`to_f32`](Self::to_f32).
    ///
    /// # Errors
    /// [`Error::DType`] for integers.
    pub fn to_f64(&self) -> Result<CowArray<'_, f64, IxDyn>> {
        self.floats("to_f64", |x| x, f64::from, f16::to_f64, bf16::to_f64)
    }

    fn floats<T: Element>(
        &self,
        op: &'static str,
        from_f64: fn(f64) -> T,
        from_f32: fn(f32) -> T,
        from_f16: fn(f16) -> T,
        from_bf16: fn(bf16) -> T,
    ) -> Result<CowArray<'_, T, IxDyn>> {
        if let Some(array) = self.as_array::<T>() {
            return Ok(array.into());
        }
        let values: Vec<T> = match self.dtype {
            DType::F64 => self.values().iter().map(|&x| from_f64(x)).collect(),
            DType::F32 => self.values().iter().map(|&x| from_f32(x)).collect(),
            DType::F16 => self.values().iter().map(|&x| from_f16(x)).collect(),
            DType::Bf16 => self.values().iter().map(|&x| from_bf16(x)).collect(),
            found => return Err(Error::DType { op, expected: "a float type", found }),
        };
        let array =
            ArrayD::from_shape_vec(IxDyn(&self.shape), values).expect("the length follows from the shape");
        Ok(array.into())
    }

    /// The numbers as a slice; copied only if the bytes are not aligned. The caller has matched the dtype.
    fn values<T: Element>(&self) -> Cow<'_, [T]> {
        match self.as_slice() {
            Some(values) => Cow::Borrowed(values),
            None => Cow::Owned(bytemuck::allocation::pod_collect_to_vec(self.bytes())),
        }
    }

    /// Rows of several tensors below one another: `[a, n]` and `[b, n]` become `[a + b, n]`. Vectors are
    /// joined end to end.
    ///
    /// # Errors
    /// [`Error::Shape`] if the inner extents differ, [`Error::DType`] if a part is no float tensor.
    pub fn concat_rows(parts: &[&Self]) -> Result<Self> {
        let mut rows = 0;
        let mut values = Vec::<f32>::with_capacity(parts.iter().map(|p| p.shape.elements()).sum());
        for part in parts {
            if part.shape.elements() == 0 || part.shape[1..] != parts[0].shape[1..] {
                let expected = format!("rows of {:?}", &parts[0].shape[1..]);
                return Err(Error::Shape { op: "concat_rows", expected, found: part.shape.to_vec() });
            }
            rows += part.shape[0];
            values.extend_from_slice(part.to_f32()?.as_slice().expect("tensors are row-major"));
        }
        let mut dims = parts.first().map_or(vec![0], |p| p.shape.to_vec());
        dims[0] = rows;
        Ok(Self::from_vec(values, Shape::new(&dims)?))
    }

    /// Says that the numbers will hardly be read again; see [`ByteSource::release`].
    pub fn release(&self) {
        self.source.release(self.range.clone());
    }
}

impl fmt::Debug for HostTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostTensor({} {:?})", self.dtype, self.shape)
    }
}

/// A strided window on a device buffer. The constructor and every method keep it inside its buffer, so
/// that a backend never has to check a bound.
#[derive(Clone, Debug)]
pub struct View<Buf> {
    buffer: Buf,
    dtype: DType,
    shape: Shape,
    strides: [usize; MAX_RANK],
    offset: usize,
}

impl<Buf: Clone> View<Buf> {
    /// A row-major view of a whole buffer. The backend that made the buffer vouches that it holds
    /// `shape.elements()` numbers of type `dtype`.
    pub fn contiguous(buffer: Buf, dtype: DType, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Self { buffer, dtype, strides: shape.contiguous_strides(), shape, offset: 0 }
    }

    /// The same window on another buffer, which holds as many numbers of the same kind: a backend around a backend
    /// makes one of each.
    pub(crate) fn with_buffer<Other>(&self, buffer: Other) -> View<Other> {
        let Self { dtype, shape, strides, offset, .. } = *self;
        View { buffer, dtype, shape, strides, offset }
    }

    /// The buffer that the view looks at.
    pub fn buffer(&self) -> &Buf {
        &self.buffer
    }

    /// The buffer, to be written to by who knows what all views of it show.
    pub fn buffer_mut(&mut self) -> &mut Buf {
        &mut self.buffer
    }

    /// The kind of number.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The distance, in elements, between neighbours on each axis; 0 where a value is broadcast.
    pub fn strides(&self) -> &[usize] {
        &self.strides[..self.shape.rank()]
    }

    /// The position of the first element in the buffer, in elements.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the elements lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        let strides = self.shape.contiguous_strides();
        self.shape.elements() == 0
            || self.shape.iter().enumerate().all(|(i, &d)| d == 1 || self.strides[i] == strides[i])
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// [`Error::Shape`] if the count of elements differs or the view is not contiguous (copy it first).
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if shape.elements() != self.shape.elements() || !self.is_contiguous() {
            let expected = format!("a contiguous view of {} elements for {shape:?}", shape.elements());
            return Err(Error::Shape { op: "reshape", expected, found: self.shape.to_vec() });
        }
        Ok(Self { strides: shape.contiguous_strides(), shape, ..self.clone() })
    }

    /// The part of `axis` that lies in `range`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the axis or the range does not exist.
    pub fn slice(&self, axis: usize, range: Range<usize>) -> Result<Self> {
        if axis >= self.shape.rank() || range.start > range.end || range.end > self.shape[axis] {
            let expected = format!("an axis {axis} that holds {range:?}");
            return Err(Error::Shape { op: "slice", expected, found: self.shape.to_vec() });
        }
        let mut view = self.clone();
        view.offset += range.start * self.strides[axis];
        view.shape.dims[axis] = range.end - range.start;
        Ok(view)
    }

    /// The axes in another order: axis `i` of the result is axis `axes[i]` of this view.
    ///
    /// # Errors
    /// [`Error::Shape`] if `axes` is not a permutation of this view's axes.
    pub fn permute(&self, axes: &[usize]) -> Result<Self> {
        let rank = self.shape.rank();
        if axes.len() != rank || (0..rank).any(|axis| !axes.contains(&axis)) {
            let expected = format!("axes {axes:?}");
            return Err(Error::Shape { op: "permute", expected, found: self.shape.to_vec() });
        }
        let mut view = self.clone();
        for (i, &axis) in axes.iter().enumerate() {
            view.shape.dims[i] = self.shape.dims[axis];
            view.strides[i] = self.strides[axis];
        }
        Ok(view)
    }

    /// The view repeated to a larger shape, aligned at the last axis, as NumPy does it: an extent of 1 (or
    /// a missing one) is repeated with stride 0.
    ///
    /// # Errors
    /// [`Error::Shape`] if an extent is neither 1 nor the one asked for.
    pub fn broadcast_to(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        let (rank, wide) = (self.shape.rank(), shape.rank());
        let fits = rank <= wide && (0..rank).all(|i| [1, shape[i + wide - rank]].contains(&self.shape[i]));
        if !fits {
            let expected = format!("something that repeats to {shape:?}");
            return Err(Error::Shape { op: "broadcast_to", expected, found: self.shape.to_vec() });
        }
        let mut strides = [0; MAX_RANK];
        for i in 0..rank {
            let target = i + wide - rank;
            strides[target] = if self.shape[i] == 1 { 0 } else { self.strides[i] };
        }
        Ok(Self { shape, strides, ..self.clone() })
    }
}
