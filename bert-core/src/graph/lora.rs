//! Low-rank adapters of linear layers. Source: "LoRA: Low-Rank Adaptation of Large Language Models" (Hu et al., 2021).
//!
//! A layer `y = x Wᵀ + b` with an adapter computes `y = x Wᵀ + b + scale * (x Aᵀ) Bᵀ`, where `A` is `[rank, inputs]` and
//! `B` is `[outputs, rank]`. That is the layer whose weight is `W + scale * B A`: training keeps the two apart, and
//! whoever uses a model adds them up when it is loaded.

use super::parameters::{ParameterKind, ParameterSpec};

/// The ends of the names of an adapter's matrices, which PEFT has, too.
pub(crate) const LORA_A: &str = ".lora_A.weight";
pub(crate) const LORA_B: &str = ".lora_B.weight";

/// The matrices `A` and `B` of an adapter of this weight; `None` for a parameter that is no matrix of a linear layer.
///
/// ```
/// use bert_core::{ModelConfig, graph::{self, Head}};
/// let config = ModelConfig::from_json(r#"{"model_type": "bert"}"#)?;
/// let list = graph::parameters(&config, Head::None)?;
/// let query = list.iter().find(|spec| spec.name.ends_with("query.weight")).unwrap();
/// let [a, b] = graph::lora(query, 8).unwrap();
/// assert_eq!(a.name, "encoder.layer.0.attention.self.query.lora_A.weight");
/// assert_eq!((&a.shape[..], &b.shape[..]), (&[8, 768][..], &[768, 8][..]));
/// # Ok::<(), bert_core::Error>(())
/// ```
pub fn lora(weight: &ParameterSpec, rank: usize) -> Option<[ParameterSpec; 2]> {
    let layer = weight.name.strip_suffix(".weight").filter(|_| weight.kind == ParameterKind::Weight)?;
    let [outputs, inputs] = [weight.shape[0], weight.shape[1]];
    let matrix = |part: &str, shape: [usize; 2], kind| ParameterSpec {
        name: format!("{layer}{part}"),
        shape: shape.into(),
        kind,
    };
    Some([
        matrix(LORA_A, [rank, inputs], ParameterKind::LoraA),
        matrix(LORA_B, [outputs, rank], ParameterKind::LoraB),
    ])
}
