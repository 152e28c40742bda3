//! DistilBERT: its own names for the parts of a layer and of the masked-LM head.

use super::{Family, Layout};
use crate::config::ModelType;

impl Family {
    /// DistilBERT: no token types, no pooler, its own names for the parts of a layer.
    pub const DISTILBERT: Self = Self("DistilBERT");
}

pub(super) const LAYOUT: Layout = Layout {
    family: Family::DISTILBERT,
    model_types: &[ModelType::DistilBert],
    prefix: "distilbert.",
    names: &[
        ("encoder.layer.*.attention.self.query", "transformer.layer.*.attention.q_lin"),
        ("encoder.layer.*.attention.self.key", "transformer.layer.*.attention.k_lin"),
        ("encoder.layer.*.attention.self.value", "transformer.layer.*.attention.v_lin"),
        ("encoder.layer.*.attention.output.dense", "transformer.layer.*.attention.out_lin"),
        ("encoder.layer.*.attention.output.LayerNorm", "transformer.layer.*.sa_layer_norm"),
        ("encoder.layer.*.intermediate.dense", "transformer.layer.*.ffn.lin1"),
        ("encoder.layer.*.output.dense", "transformer.layer.*.ffn.lin2"),
        ("encoder.layer.*.output.LayerNorm", "transformer.layer.*.output_layer_norm"),
        ("cls.predictions.transform.dense", "vocab_transform"),
        ("cls.predictions.transform.LayerNorm", "vocab_layer_norm"),
        ("cls.predictions.decoder.weight", "vocab_projector.weight"),
        ("cls.predictions.bias", "vocab_projector.bias"),
    ],
    aliases: &[],
    // An adapter may have any one of these.
    marks: &[
        "transformer.layer.*.attention.q_lin",
        "transformer.layer.*.attention.k_lin",
        "transformer.layer.*.attention.v_lin",
        "transformer.layer.*.attention.out_lin",
        "transformer.layer.*.ffn.lin1",
        "transformer.layer.*.ffn.lin2",
    ],
    absent: &["embeddings.token_type_embeddings", "pooler", "cls.seq_relationship"],
};
