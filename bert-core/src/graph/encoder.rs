//! The encoder: embeddings and the layers, one after another.

use super::embeddings::Embeddings;
use super::layer::Layer;
use super::residual::last_norm;
use super::{Loader, Pass};
use crate::Result;
use crate::contract::{Backend, LayerNorm, Tensor};

/// The parameters of a BERT without a head.
#[derive(Clone, Debug)]
pub(super) struct EncoderWeights<Buf> {
    embeddings: Embeddings<Buf>,
    /// Those with parameters of their own.
    layers: Vec<Layer<Buf>>,
    /// Which of them each layer of the encoder is.
    order: Vec<usize>,
    /// Follows the last layer, where layers do not end with one.
    norm: Option<LayerNorm<Buf>>,
}

impl<Buf: Clone> EncoderWeights<Buf> {
    pub fn load<B: Backend<Buffer = Buf>>(loader: &Loader<'_, B>) -> Result<Self> {
        let config = loader.config;
        Ok(Self {
            embeddings: Embeddings::load(loader)?,
            layers: (0..config.distinct_layers())
                .map(|index| Layer::load(loader, index))
                .collect::<Result<_>>()?,
            order: (0..config.num_hidden_layers).map(|index| config.distinct_layer(index)).collect(),
            norm: last_norm(config).map(|norm| loader.layer_norm(&norm)).transpose()?,
        })
    }

    /// The `index`-th layer, counted from 1.
    pub fn layer(&self, index: usize) -> &Layer<Buf> {
        &self.layers[self.order[index - 1]]
    }

    /// The hidden states `[tokens, hidden]` of every layer that `keep` asks for, in order: 0 is the output of
    /// the embeddings, `i` that of the `i`-th layer, and the last one is taken after the LayerNorm that may follow the
    /// layers. Layers above the highest one asked for are not computed.
    pub fn encode<B: Backend<Buffer = Buf>>(
        &self,
        pass: &Pass<'_, B>,
        keep: impl Fn(usize) -> bool,
    ) -> Result<Vec<(usize, Tensor<B>)>> {
        let Some(last) = (0..=self.order.len()).rev().find(|&index| keep(index)) else {
            return Ok(vec![]);
        };
        // [tokens, hidden]
        let mut hidden = match &pass.embedded {
            Some(embedded) => embedded.clone(),
            None => self.embeddings.forward(pass)?,
        };
        let mut kept = vec![];
        for index in 0..=last {
            if index > 0 {
                hidden = self.layer(index).forward(pass, index, &hidden)?;
            }
            if let Some(norm) = self.norm.as_ref().filter(|_| index == self.order.len()) {
                hidden = pass.backend.layer_norm(&hidden, norm)?;
            }
            if keep(index) {
                kept.push((index, hidden.clone()));
            }
        }
        Ok(kept)
    }
}
