//! The template backend: the eight required methods of [`Backend`], in plain loops on the host.
//!
//! Every model runs on it as it is. What comes next: another [`TemplateBuffer`], which lies on a device; the
//! eight methods, on that device; then the provided methods that models spend their time in, `linear` first.

use std::sync::Arc;

use bert_core::contract::{Backend, BackendInfo, BinaryOp, Precision, ReduceOp, Tensor, UnaryOp};
use bert_core::tensor::{DType, HostTensor, Shape, View};
use bert_core::train::TrainBackend;
use bert_core::{Error, Result};

/// The backend. Where there is a device, its handles belong here: a clone has to share them.
#[derive(Clone, Copy, Debug, Default)]
pub struct TemplateBackend;

/// A block of numbers. A clone shares it, the last one frees it.
#[derive(Clone, Debug)]
pub enum TemplateBuffer {
    /// Everything that is computed with.
    Floats(Arc<[f32]>),
    /// Token ids, positions and bounds.
    Ids(Arc<[u32]>),
}

use TemplateBuffer::{Floats, Ids};

impl Backend for TemplateBackend {
    type Buffer = TemplateBuffer;

    fn info(&self) -> BackendInfo {
        BackendInfo {
            name: "template",
            device: "plain loops on the host".into(),
            features: vec![],
            threads: Some(1),
            software: false,
            precisions: vec![Precision::F32],
            emulated: vec![],
        }
    }

    fn upload(&self, tensor: &HostTensor) -> Result<Tensor<Self>> {
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        // A file that is mapped into memory need not be aligned: `as_slice` gives nothing then.
        let buffer = match (dtype, tensor.as_slice::<u32>()) {
            (DType::U32, Some(ids)) => Ids(ids.into()),
            (DType::U32, None) => {
                return Err(Error::DType { op: "upload", expected: "aligned ids", found: dtype });
            }
            _ => Floats(tensor.to_f32()?.iter().copied().collect()),
        };
        let dtype = if dtype == DType::U32 { DType::U32 } else { DType::F32 };
        Ok(View::contiguous(buffer, dtype, shape))
    }

    async fn download(&self, tensors: &[Tensor<Self>]) -> Result<Vec<HostTensor>> {
        let host = |view: &Tensor<Self>| match view.dtype() {
            DType::U32 => Ok(HostTensor::from_vec(ids(view)?, view.shape())),
            _ => Ok(HostTensor::from_vec(floats(view)?, view.shape())),
        };
        tensors.iter().map(host).collect()
    }

    fn gather_rows(&self, table: &Tensor<Self>, indices: &Tensor<Self>) -> Result<Tensor<Self>> {
        let mut rows = vec![];
        for index in ids(indices)? {
            let index = index as usize;
            rows.extend(floats(&table.slice(0, index..index + 1)?)?);
        }
        Ok(float_tensor(rows, Shape::from([indices.shape()[0], table.shape()[1]])))
    }

    fn matmul(&self, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        let rank = a.shape().rank();
        let (m, k, n) = (a.shape()[rank - 2], a.shape()[rank - 1], b.shape()[rank - 1]);
        let (a_values, b_values) = (floats(a)?, floats(b)?);
        let mut product = vec![];
        // One matrix after another, one row of it after another.
        for (a, b) in a_values.chunks(m * k).zip(b_values.chunks(k * n)) {
            for row in a.chunks(k) {
                for column in 0..n {
                    let terms =
                        row.iter().enumerate().map(|(i, &x)| f64::from(x) * f64::from(b[i * n + column]));
                    product.push(terms.sum::<f64>() as f32);
                }
            }
        }
        let mut shape = a.shape().to_vec();
        shape[rank - 1] = n;
        Ok(float_tensor(product, Shape::new(&shape)?))
    }

    fn map(&self, op: UnaryOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        let shape = x.shape();
        match (op, x.dtype()) {
            (UnaryOp::Copy | UnaryOp::Cast(DType::U32), DType::U32) => Ok(id_tensor(ids(x)?, shape)),
            (UnaryOp::Cast(_), DType::U32) => {
                Ok(float_tensor(ids(x)?.into_iter().map(|id| id as f32).collect(), shape))
            }
            (UnaryOp::Cast(DType::U32), _) => {
                Ok(id_tensor(floats(x)?.into_iter().map(|x| x as u32).collect(), shape))
            }
            _ => {
                let y = floats(x)?.into_iter().map(|x| unary(op, f64::from(x)) as f32);
                Ok(float_tensor(y.collect(), shape))
            }
        }
    }

    fn zip(&self, op: BinaryOp, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        let pairs = floats(a)?.into_iter().zip(floats(b)?);
        let result = pairs.map(|(a, b)| match op {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div => a / b,
            BinaryOp::Max => a.max(b),
        });
        Ok(float_tensor(result.collect(), a.shape()))
    }

    fn reduce(&self, op: ReduceOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        let mut shape = x.shape().to_vec();
        let n = std::mem::replace(&mut shape[x.shape().rank() - 1], 1);
        let values = floats(x)?;
        let rows = values.chunks(n).map(|row| match op {
            ReduceOp::Sum => row.iter().copied().map(f64::from).sum::<f64>() as f32,
            ReduceOp::Max => row.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        });
        Ok(float_tensor(rows.collect(), Shape::new(&shape)?))
    }
}

/// It trains as it is, by the default bodies.
impl TrainBackend for TemplateBackend {}

fn unary(op: UnaryOp, x: f64) -> f64 {
    match op {
        UnaryOp::Copy | UnaryOp::Cast(_) => x,
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
    }
}

/// What a view shows, row-major.
fn floats(view: &View<TemplateBuffer>) -> Result<Vec<f32>> {
    match view.buffer() {
        Floats(numbers) => Ok(positions(view).map(|position| numbers[position]).collect()),
        Ids(_) => Err(Error::DType { op: "an operation on floats", expected: "f32", found: view.dtype() }),
    }
}

/// The same of ids.
fn ids(view: &View<TemplateBuffer>) -> Result<Vec<u32>> {
    match view.buffer() {
        Ids(numbers) => Ok(positions(view).map(|position| numbers[position]).collect()),
        Floats(_) => Err(Error::DType { op: "an operation on ids", expected: "u32", found: view.dtype() }),
    }
}

/// Where the elements of a view lie in its buffer, in row-major order. A view never leaves its buffer.
fn positions(view: &View<TemplateBuffer>) -> impl Iterator<Item = usize> + '_ {
    let shape = view.shape();
    (0..shape.elements()).map(move |mut element| {
        let mut position = view.offset();
        for (&extent, &stride) in shape.iter().zip(view.strides()).rev() {
            position += element % extent * stride;
            element /= extent;
        }
        position
    })
}

fn float_tensor(numbers: Vec<f32>, shape: Shape) -> View<TemplateBuffer> {
    View::contiguous(Floats(numbers.into()), DType::F32, shape)
}

fn id_tensor(numbers: Vec<u32>, shape: Shape) -> View<TemplateBuffer> {
    View::contiguous(Ids(numbers.into()), DType::U32, shape)
}
