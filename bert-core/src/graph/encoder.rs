//! The encoder: embeddings and the layers, one after another.

use super::layer::Layer;
use super::{Loader, embeddings};
use crate::Result;
use crate::backend::{Backend, Tensor};
use crate::packed::DeviceBatch;
use crate::weights::EmbeddingTables;

/// The parameters of a BERT without a head.
#[derive(Clone, Debug)]
pub struct EncoderWeights<Buf> {
    embeddings: EmbeddingTables<Buf>,
    layers: Vec<Layer<Buf>>,
}

impl<Buf: Clone> EncoderWeights<Buf> {
    /// Loads the embedding tables and every layer.
    ///
    /// # Errors
    /// A tensor that is missing or misshapen; a device without room.
    pub fn load<B: Backend<Buffer = Buf>>(loader: &Loader<'_, B>) -> Result<Self> {
        Ok(Self {
            embeddings: embeddings::load(loader)?,
            layers: (0..loader.config.num_hidden_layers)
                .map(|i| Layer::load(loader, i))
                .collect::<Result<_>>()?,
        })
    }
}

/// The hidden states `[tokens, hidden]` of every layer that `keep` asks for, in order: 0 is the output of
/// the embeddings, `i` that of the `i`-th layer. Layers above the highest one asked for are not computed.
///
/// # Errors
/// A device that failed.
pub fn encode<B: Backend>(
    backend: &B,
    weights: &EncoderWeights<B::Buffer>,
    batch: &DeviceBatch<B::Buffer>,
    keep: impl Fn(usize) -> bool,
) -> Result<Vec<(usize, Tensor<B>)>> {
    let Some(last) = (0..=weights.layers.len()).rev().find(|&index| keep(index)) else {
        return Ok(vec![]);
    };
    let mut hidden = backend.embed(&weights.embeddings, batch)?; // [tokens, hidden]
    let mut kept = vec![];
    for index in 0..=last {
        if index > 0 {
            hidden = weights.layers[index - 1].forward(backend, &hidden, batch)?;
        }
        if keep(index) {
            kept.push((index, hidden.clone()));
        }
    }
    Ok(kept)
}
