//! Where a layer normalises: what comes out of its halves, as in BERT, or what goes into them. Source: "On Layer
//! Normalization in the Transformer Architecture" (Xiong et al., 2020).

use super::parameters::NormSpec;
use crate::Result;
use crate::config::{ModelConfig, NormPlace};
use crate::contract::{Backend, BinaryOp, LayerNorm, Tensor};

/// What a half of a layer makes of `x`, added to `x`: all `[tokens, hidden]`.
pub(super) fn add<B: Backend>(
    backend: &B,
    place: NormPlace,
    x: &Tensor<B>,
    norm: &LayerNorm<B::Buffer>,
    half: impl FnOnce(&Tensor<B>) -> Result<Tensor<B>>,
) -> Result<Tensor<B>> {
    match place {
        NormPlace::After => backend.add_layer_norm(&half(x)?, x, norm),
        NormPlace::Before => backend.zip(BinaryOp::Add, &half(&backend.layer_norm(x, norm)?)?, x),
    }
}

/// The LayerNorm that follows the last layer, if layers do not end with one.
pub(super) fn last_norm(config: &ModelConfig) -> Option<NormSpec> {
    match config.norm_place {
        NormPlace::After => None,
        NormPlace::Before => Some(NormSpec::new("encoder.LayerNorm", config.hidden_size)),
    }
}
