//! One encoder layer: self-attention, then a feed-forward network, each with a residual and a LayerNorm.

use super::Loader;
use crate::Result;
use crate::backend::{Backend, Tensor};
use crate::ops::Activation;
use crate::packed::DeviceBatch;
use crate::weights::{LayerNorm, Linear};

/// The parameters of one layer. Source: "Attention Is All You Need", §3.1 (post-LayerNorm).
#[derive(Clone, Debug)]
pub struct Layer<Buf> {
    heads: usize,
    activation: Activation,
    /// query, key and value as one: `[3 * hidden, hidden]`
    qkv: Linear<Buf>,
    /// `[hidden, hidden]`
    attention_output: Linear<Buf>,
    attention_norm: LayerNorm<Buf>,
    /// `[intermediate, hidden]`
    intermediate: Linear<Buf>,
    /// `[hidden, intermediate]`
    output: Linear<Buf>,
    output_norm: LayerNorm<Buf>,
}

impl<Buf: Clone> Layer<Buf> {
    /// Loads layer `index`, counted from 0.
    ///
    /// # Errors
    /// A tensor that is missing or misshapen; a device without room.
    pub fn load<B: Backend<Buffer = Buf>>(loader: &Loader<'_, B>, index: usize) -> Result<Self> {
        let config = loader.config;
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let [query, key, value] =
            ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        Ok(Self {
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            qkv: loader.stacked_linear(&[&query, &key, &value], hidden, hidden)?,
            attention_output: loader.linear(&name("attention.output.dense"), hidden, hidden)?,
            attention_norm: loader.layer_norm(&name("attention.output.LayerNorm"))?,
            intermediate: loader.linear(&name("intermediate.dense"), intermediate, hidden)?,
            output: loader.linear(&name("output.dense"), hidden, intermediate)?,
            output_norm: loader.layer_norm(&name("output.LayerNorm"))?,
        })
    }

    /// `[tokens, hidden]` -> `[tokens, hidden]`
    ///
    /// # Errors
    /// A device that failed.
    pub fn forward<B: Backend<Buffer = Buf>>(
        &self,
        backend: &B,
        hidden: &Tensor<B>,
        batch: &DeviceBatch<Buf>,
    ) -> Result<Tensor<B>> {
        let qkv = backend.linear(hidden, &self.qkv, Activation::Identity)?; //                [tokens, 3 * hidden]
        let context = backend.attention(&qkv, self.heads, batch, self.qkv.precision)?; //     [tokens, hidden]
        let attended = backend.linear(&context, &self.attention_output, Activation::Identity)?;
        let attended = backend.add_layer_norm(&attended, hidden, &self.attention_norm)?; //   [tokens, hidden]

        let inner = backend.linear(&attended, &self.intermediate, self.activation)?; //       [tokens, intermediate]
        let output = backend.linear(&inner, &self.output, Activation::Identity)?; //          [tokens, hidden]
        backend.add_layer_norm(&output, &attended, &self.output_norm)
    }
}
