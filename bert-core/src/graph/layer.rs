//! One encoder layer: self-attention, then a feed-forward network, each with a residual and a LayerNorm.
//! Source: "Attention Is All You Need", §3.1.

use super::parameters::{LinearSpec, NormSpec, ParameterSpec};
use super::residual::add;
use super::{Loader, Pass};
use crate::Result;
use crate::config::{ModelConfig, NormPlace};
use crate::contract::{Activation, AttentionSpec, Backend, LayerNorm, Linear, Tensor};

/// What a layer consists of.
pub(super) struct LayerSpec {
    qkv: [LinearSpec; 3],
    attention_output: LinearSpec,
    attention_norm: NormSpec,
    intermediate: LinearSpec,
    output: LinearSpec,
    output_norm: NormSpec,
}

impl LayerSpec {
    /// Layer `index`, counted from 0.
    pub fn new(config: &ModelConfig, index: usize) -> Self {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let square = |part: &str| LinearSpec::new(name(part), hidden, hidden);
        Self {
            qkv: ["query", "key", "value"].map(|part| square(&format!("attention.self.{part}"))),
            attention_output: square("attention.output.dense"),
            attention_norm: NormSpec::new(name("attention.output.LayerNorm"), hidden),
            intermediate: LinearSpec::new(name("intermediate.dense"), inner, hidden),
            output: LinearSpec::new(name("output.dense"), hidden, inner),
            output_norm: NormSpec::new(name("output.LayerNorm"), hidden),
        }
    }

    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let mut list: Vec<_> = self.qkv.iter().flat_map(LinearSpec::parameters).collect();
        list.extend(self.attention_output.parameters());
        list.extend(self.attention_norm.parameters());
        list.extend(self.intermediate.parameters());
        list.extend(self.output.parameters());
        list.extend(self.output_norm.parameters());
        list
    }
}

/// A layer on a device.
#[derive(Clone, Debug)]
pub(super) struct Layer<Buf> {
    hidden_dropout: f64,
    attention_dropout: f64,
    attention: AttentionSpec,
    activation: Activation,
    norm_place: NormPlace,
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
    pub fn load<B: Backend<Buffer = Buf>>(loader: &Loader<'_, B>, index: usize) -> Result<Self> {
        let (config, spec) = (loader.config, LayerSpec::new(loader.config, index));
        Ok(Self {
            hidden_dropout: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
            attention: AttentionSpec::new(config.num_attention_heads, config.head_size(), loader.precision),
            activation: config.hidden_act,
            norm_place: config.norm_place,
            qkv: loader.linear(&spec.qkv)?,
            attention_output: loader.linear(&[spec.attention_output])?,
            attention_norm: loader.layer_norm(&spec.attention_norm)?,
            intermediate: loader.linear(&[spec.intermediate])?,
            output: loader.linear(&[spec.output])?,
            output_norm: loader.layer_norm(&spec.output_norm)?,
        })
    }

    /// What the heads compare: `[tokens, hidden]`, the layer's input -> `[tokens, 3 * hidden]`.
    pub fn queries_keys_values<B: Backend<Buffer = Buf>>(
        &self,
        pass: &Pass<'_, B>,
        hidden: &Tensor<B>,
    ) -> Result<Tensor<B>> {
        let normalised = match self.norm_place {
            NormPlace::Before => Some(pass.backend.layer_norm(hidden, &self.attention_norm)?),
            NormPlace::After => None,
        };
        pass.backend.linear(normalised.as_ref().unwrap_or(hidden), &self.qkv, Activation::Identity)
    }

    /// How much each token looks at each: `[tokens, hidden]`, the layer's input -> `[pairs, heads]`.
    pub fn attention_weights<B: Backend<Buffer = Buf>>(
        &self,
        pass: &Pass<'_, B>,
        hidden: &Tensor<B>,
    ) -> Result<Tensor<B>> {
        let qkv = self.queries_keys_values(pass, hidden)?;
        pass.backend.attention_weights(&qkv, &self.attention, pass.batch)
    }

    /// `[tokens, hidden]` -> `[tokens, hidden]`, as the encoder's `index`-th layer, counted from 1.
    pub fn forward<B: Backend<Buffer = Buf>>(
        &self,
        pass: &Pass<'_, B>,
        index: usize,
        hidden: &Tensor<B>,
    ) -> Result<Tensor<B>> {
        let (backend, place) = (pass.backend, self.norm_place);
        let site = 4 * index as u64; // the first of its three in the numbers of the graph's places for dropout
        let attend = |x: &Tensor<B>| {
            let mut attention = self.attention;
            attention.dropout = pass.dropout(self.attention_dropout, site);
            let qkv = backend.linear(x, &self.qkv, Activation::Identity)?; //                  [tokens, 3 * hidden]
            let context = backend.attention(&qkv, &attention, pass.batch)?; //                 [tokens, hidden]
            let attended = backend.linear(&context, &self.attention_output, Activation::Identity)?;
            pass.drop(attended, self.hidden_dropout, site + 1)
        };
        let feed_forward = |x: &Tensor<B>| {
            let inner = backend.linear(x, &self.intermediate, self.activation)?; //            [tokens, intermediate]
            let output = backend.linear(&inner, &self.output, Activation::Identity)?; //       [tokens, hidden]
            pass.drop(output, self.hidden_dropout, site + 2)
        };
        let attended = add(backend, place, hidden, &self.attention_norm, attend)?; //          [tokens, hidden]
        add(backend, place, &attended, &self.output_norm, feed_forward)
    }
}
