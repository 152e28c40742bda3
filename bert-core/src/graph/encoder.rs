//! The encoder: embeddings and the layers, one after another.

use super::embeddings::Embeddings;
use super::layer::Layer;
use super::parameters::NormSpec;
use super::{Loader, Pass};
use crate::Result;
use crate::config::{ModelConfig, NormPlace};
use crate::contract::{Backend, LayerNorm, Tensor};

/// The parameters of a BERT without a head.
#[derive(Clone, Debug)]
pub(super) struct EncoderWeights<Buf> {
    embeddings: Embeddings<Buf>,
    layers: Vec<Layer<Buf>>,
    /// Follows the last layer, where layers normalise before each half.
    norm: Option<LayerNorm<Buf>>,
}

/// The LayerNorm after the last layer, if there is one.
pub(super) fn last_norm(config: &ModelConfig) -> Option<NormSpec> {
    (config.norm_place == NormPlace::Before).then(|| NormSpec::new("encoder.LayerNorm", config.hidden_size))
}

impl<Buf: Clone> EncoderWeights<Buf> {
    pub fn load<B: Backend<Buffer = Buf>>(loader: &Loader<'_, B>) -> Result<Self> {
        let (embeddings, config) = (Embeddings::load(loader)?, loader.config);
        let distinct = (0..config.distinct_layers()).map(|index| Layer::load(loader, index));
        let distinct = distinct.collect::<Result<Vec<_>>>()?;
        // Layers that share their parameters share their buffers, too.
        let layer = |index| distinct[config.distinct_layer(index)].clone().at(index);
        let layers = (0..config.num_hidden_layers).map(layer).collect();
        let norm = last_norm(config).map(|norm| loader.layer_norm(&norm)).transpose()?;
        Ok(Self { embeddings, layers, norm })
    }

    /// The hidden states `[tokens, hidden]` of every layer that `keep` asks for, in order: 0 is the output of
    /// the embeddings, `i` that of the `i`-th layer, of the last one what any last LayerNorm makes of it. Layers above the highest one asked for are not computed.
    pub fn encode<B: Backend<Buffer = Buf>>(
        &self,
        pass: &Pass<'_, B>,
        keep: impl Fn(usize) -> bool,
    ) -> Result<Vec<(usize, Tensor<B>)>> {
        let Some(last) = (0..=self.layers.len()).rev().find(|&index| keep(index)) else {
            return Ok(vec![]);
        };
        let mut hidden = self.embeddings.forward(pass)?; // [tokens, hidden]
        let mut kept = vec![];
        for index in 0..=last {
            if index > 0 {
                hidden = self.layers[index - 1].forward(pass, &hidden)?;
            }
            if let Some(norm) = self.norm.as_ref().filter(|_| index == self.layers.len()) {
                hidden = pass.backend.layer_norm(&hidden, norm)?;
            }
            if keep(index) {
                kept.push((index, hidden.clone()));
            }
        }
        Ok(kept)
    }
}
