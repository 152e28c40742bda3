//! Parameters, ready on a device, in the groups that the coarse operations take.

use super::ops::Precision;
use crate::tensor::{HostTensor, Shape, View};

/// A matrix `[out_features, in_features]` to be made ready for linear layers, and where it lies.
#[derive(Clone, Debug)]
pub enum WeightSource<'a, Buf> {
    /// In main memory, in any float type: as a checkpoint gives it.
    Host(&'a HostTensor),
    /// On the device, in `f32` and with any strides: as training leaves it, or the transpose of that.
    Device(&'a View<Buf>),
}

impl<Buf: Clone> WeightSource<'_, Buf> {
    /// The extents.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Host(tensor) => tensor.shape(),
            Self::Device(view) => view.shape(),
        }
    }
}

impl<'a, Buf> From<&'a HostTensor> for WeightSource<'a, Buf> {
    fn from(tensor: &'a HostTensor) -> Self {
        Self::Host(tensor)
    }
}

impl<'a, Buf> From<&'a View<Buf>> for WeightSource<'a, Buf> {
    fn from(view: &'a View<Buf>) -> Self {
        Self::Device(view)
    }
}

/// `y = x Wᵀ + b`. Source: the linear layers of "Attention Is All You Need", §3.3.
#[derive(Clone, Debug)]
pub struct Linear<Buf> {
    /// What [`prepare_weight`](super::Backend::prepare_weight) made of the `[out_features, in_features]` matrix.
    /// Only the backend that made it knows its layout.
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

/// The tables whose rows are added to make the first hidden state. Source: "BERT", figure 2.
#[derive(Clone, Debug)]
pub struct EmbeddingTables<Buf> {
    /// `[vocab_size, embedding]`
    pub word: View<Buf>,
    /// `[max_position_embeddings, embedding]`
    pub position: View<Buf>,
    /// `[type_vocab_size, embedding]`; DistilBERT has none.
    pub token_type: Option<View<Buf>>,
    /// Follows the sum.
    pub norm: LayerNorm<Buf>,
}
