//! The oracle: the eight methods in plain `f64` on `ndarray`, written to be read and not to be fast.
//!
//! ```
//! use bert_core::{Backend, contract::ReduceOp, reference::Reference, tensor::HostTensor};
//! let backend = Reference;
//! let x = backend.upload(&HostTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2]))?;
//! let sums = backend.reduce(ReduceOp::Sum, &x)?;
//! let host = pollster::block_on(backend.download(&[sums]))?;
//! assert_eq!(host[0].as_slice::<f64>(), Some(&[3.0, 7.0][..]));
//! # Ok::<(), bert_core::Error>(())
//! ```

use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD, Axis, Ix2, IxDyn, ShapeBuilder, Zip};

use crate::contract::{Backend, BackendInfo, BinaryOp, Precision, ReduceOp, Tensor, UnaryOp};
use crate::tensor::{DType, HostTensor, Shape, View};
use crate::{Error, Result};

/// The reference backend. Every number is kept as `f64`, indices too; floats come back as `F64`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

type Buffer = Arc<[f64]>;

impl Backend for Reference {
    type Buffer = Buffer;

    fn info(&self) -> BackendInfo {
        BackendInfo {
            name: "reference",
            device: "f64 oracle on the host".into(),
            features: vec![],
            threads: Some(1),
            software: false,
            precisions: vec![Precision::F32],
            emulated: vec![],
        }
    }

    fn upload(&self, tensor: &HostTensor) -> Result<Tensor<Self>> {
        let values = match tensor.dtype() {
            DType::U32 => tensor.as_slice::<u32>().map(|ids| ids.iter().copied().map(f64::from).collect()),
            DType::F64 | DType::F32 | DType::F16 | DType::Bf16 => {
                Some(tensor.to_f64()?.iter().copied().collect())
            }
            _ => None,
        };
        let values =
            values.ok_or(Error::DType { op: "upload", expected: "floats or u32", found: tensor.dtype() })?;
        let dtype = if tensor.dtype() == DType::U32 { DType::U32 } else { DType::F32 };
        Ok(View::contiguous(values, dtype, tensor.shape()))
    }

    async fn download(&self, tensors: &[Tensor<Self>]) -> Result<Vec<HostTensor>> {
        tensors
            .iter()
            .map(|view| match view.dtype() {
                DType::U32 => HostTensor::from_array(array(view).map(|&x| x as u32)),
                _ => HostTensor::from_array(array(view).as_standard_layout().into_owned()),
            })
            .collect()
    }

    fn gather_rows(&self, table: &Tensor<Self>, indices: &Tensor<Self>) -> Result<Tensor<Self>> {
        let indices: Vec<usize> = array(indices).iter().map(|&index| index as usize).collect();
        finish(array(table).select(Axis(0), &indices))
    }

    fn matmul(&self, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        let (a, b) = (array(a), array(b));
        let rank = a.ndim();
        let (m, k, n) = (a.shape()[rank - 2], a.shape()[rank - 1], b.shape()[rank - 1]);
        let mut shape = a.shape().to_vec();
        shape[rank - 1] = n;
        // One matrix after another along the leading axes, flattened.
        let batch: usize = shape[..rank - 2].iter().product();
        let a = a.to_shape((batch, m, k)).expect("the same count of elements");
        let b = b.to_shape((batch, k, n)).expect("the same count of elements");
        let products: Vec<f64> = a
            .outer_iter()
            .zip(b.outer_iter())
            .flat_map(|(a, b)| a.into_dimensionality::<Ix2>().expect("a matrix").dot(&b).into_iter())
            .collect();
        Ok(View::contiguous(products.into(), DType::F32, Shape::new(&shape)?))
    }

    fn map(&self, op: UnaryOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        let y = array(x).mapv(|x| match op {
            UnaryOp::Copy => x,
            UnaryOp::Cast(DType::U32) => x.trunc(),
            UnaryOp::Cast(_) => x,
            UnaryOp::Scale(factor) => x * factor,
            UnaryOp::Offset(offset) => x + offset,
            UnaryOp::Exp => x.exp(),
            UnaryOp::Log => x.ln(),
            UnaryOp::Sqrt => x.sqrt(),
            UnaryOp::Reciprocal => x.recip(),
            UnaryOp::Tanh => x.tanh(),
            UnaryOp::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            UnaryOp::Relu => x.max(0.0),
            UnaryOp::Gelu => 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            UnaryOp::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }
        });
        let dtype = match op {
            UnaryOp::Copy => x.dtype(),
            UnaryOp::Cast(DType::U32) => DType::U32,
            _ => DType::F32,
        };
        Ok(View::contiguous(y.into_iter().collect(), dtype, x.shape()))
    }

    fn zip(&self, op: BinaryOp, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        finish(Zip::from(array(a)).and(array(b)).map_collect(|&a, &b| match op {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div => a / b,
            BinaryOp::Max => a.max(b),
        }))
    }

    fn reduce(&self, op: ReduceOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        let x = array(x);
        let last = Axis(x.ndim() - 1);
        let row = match op {
            ReduceOp::Sum => x.sum_axis(last),
            ReduceOp::Max => x.fold_axis(last, f64::NEG_INFINITY, |&a, &b| a.max(b)),
        };
        finish(row.insert_axis(last))
    }
}

/// Trains by the default bodies, in `f64`.
impl crate::train::TrainBackend for Reference {}

/// What a view shows, as ndarray sees it.
fn array(view: &View<Buffer>) -> ArrayViewD<'_, f64> {
    let shape = IxDyn(&view.shape()).strides(IxDyn(view.strides()));
    ArrayViewD::from_shape(shape, &view.buffer()[view.offset()..]).expect("a view lies inside its buffer")
}

fn finish(array: ArrayD<f64>) -> Result<View<Buffer>> {
    let shape = Shape::new(array.shape())?;
    let values = array.as_standard_layout();
    Ok(View::contiguous(values.iter().copied().collect(), DType::F32, shape))
}
