//! Parameters, ready on a device, in the groups that the coarse operations take.

use crate::backend::Backend;
use crate::ops::Precision;
use crate::tensor::{DType, HostTensor, View};
use crate::{Error, Result};

/// `y = x Wᵀ + b`. Source: the linear layers of "Attention Is All You Need", §3.3.
#[derive(Clone, Debug)]
pub struct Linear<Buf> {
    /// What [`Backend::prepare_weight`] made of the `[out_features, in_features]` matrix. Only the backend
    /// that made it knows its layout.
    pub weight: Buf,
    /// `[out_features]`
    pub bias: Option<View<Buf>>,
    /// Extent of a row of the input.
    pub in_features: usize,
    /// Extent of a row of the output.
    pub out_features: usize,
    /// What the weight was prepared for.
    pub precision: Precision,
}

impl<Buf: Clone> Linear<Buf> {
    /// Prepares a weight `[out_features, in_features]` and its bias `[out_features]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if they do not fit; [`Error::Precision`] if the backend lacks the precision.
    pub fn new<B: Backend<Buffer = Buf>>(
        backend: &B,
        weight: &HostTensor,
        bias: Option<&HostTensor>,
        precision: Precision,
    ) -> Result<Self> {
        let [out_features, in_features] = weight.shape()[..] else {
            let expected = "[out_features, in_features]".to_owned();
            return Err(Error::Shape { op: "linear weight", expected, found: weight.shape().to_vec() });
        };
        let bias = bias.map(|bias| vector(backend, bias, out_features)).transpose()?;
        let weight = backend.prepare_weight(weight, precision)?;
        Ok(Self { weight, bias, in_features, out_features, precision })
    }
}

/// Normalisation of a row to mean 0 and variance 1, then scaled and shifted. Source: "Layer
/// Normalization" (Ba et al., 2016), eq. 4.
#[derive(Clone, Debug)]
pub struct LayerNorm<Buf> {
    /// `[hidden]`, the scale, called gamma in older checkpoints.
    pub weight: View<Buf>,
    /// `[hidden]`, the shift, called beta in older checkpoints.
    pub bias: View<Buf>,
    /// Added to the variance, so that a constant row does not divide by zero.
    pub eps: f64,
}

impl<Buf: Clone> LayerNorm<Buf> {
    /// Uploads a scale and a shift, both `[hidden]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if they do not fit.
    pub fn new<B: Backend<Buffer = Buf>>(
        backend: &B,
        weight: &HostTensor,
        bias: &HostTensor,
        eps: f64,
    ) -> Result<Self> {
        let hidden = weight.shape().len();
        Ok(Self { weight: vector(backend, weight, hidden)?, bias: vector(backend, bias, hidden)?, eps })
    }
}

/// The tables whose rows are added to make the first hidden state. Source: "BERT", figure 2.
#[derive(Clone, Debug)]
pub struct EmbeddingTables<Buf> {
    /// `[vocab_size, hidden]`
    pub word: View<Buf>,
    /// `[max_position_embeddings, hidden]`
    pub position: View<Buf>,
    /// `[type_vocab_size, hidden]`; DistilBERT has none.
    pub token_type: Option<View<Buf>>,
    /// Follows the sum.
    pub norm: LayerNorm<Buf>,
}

/// Uploads `[length]` numbers as `f32`.
fn vector<B: Backend>(backend: &B, tensor: &HostTensor, length: usize) -> Result<View<B::Buffer>> {
    if tensor.shape()[..] != [length] {
        let expected = format!("[{length}]");
        return Err(Error::Shape { op: "vector", expected, found: tensor.shape().to_vec() });
    }
    upload_f32(backend, tensor)
}

/// Uploads a float tensor as `f32`, whatever it is stored as; an `f32` tensor is passed on as it is, so
/// that a backend can use mapped memory in place.
///
/// # Errors
/// [`Error::DType`] for integers, and whatever the upload says.
pub fn upload_f32<B: Backend>(backend: &B, tensor: &HostTensor) -> Result<View<B::Buffer>> {
    if tensor.dtype() == DType::F32 {
        return backend.upload(tensor);
    }
    backend.upload(&HostTensor::from_array(tensor.to_f32()?.into_owned())?)
}
