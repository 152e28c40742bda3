//! ALBERT: its own names for the parts of a layer, of which a group is one, for the pooler and for the heads of
//! pre-training.

use super::{Family, Layout};
use crate::config::ModelType;

impl Family {
    /// ALBERT, whose layers share their parameters.
    pub const ALBERT: Self = Self("ALBERT");
}

pub(super) const LAYOUT: Layout = Layout {
    family: Family::ALBERT,
    model_types: &[ModelType::Albert],
    prefix: "albert.",
    names: &[
        ("embeddings_project", "encoder.embedding_hidden_mapping_in"),
        (
            "encoder.layer.*.attention.self.query",
            "encoder.albert_layer_groups.*.albert_layers.0.attention.query",
        ),
        ("encoder.layer.*.attention.self.key", "encoder.albert_layer_groups.*.albert_layers.0.attention.key"),
        (
            "encoder.layer.*.attention.self.value",
            "encoder.albert_layer_groups.*.albert_layers.0.attention.value",
        ),
        (
            "encoder.layer.*.attention.output.dense",
            "encoder.albert_layer_groups.*.albert_layers.0.attention.dense",
        ),
        (
            "encoder.layer.*.attention.output.LayerNorm",
            "encoder.albert_layer_groups.*.albert_layers.0.attention.LayerNorm",
        ),
        ("encoder.layer.*.intermediate.dense", "encoder.albert_layer_groups.*.albert_layers.0.ffn"),
        ("encoder.layer.*.output.dense", "encoder.albert_layer_groups.*.albert_layers.0.ffn_output"),
        (
            "encoder.layer.*.output.LayerNorm",
            "encoder.albert_layer_groups.*.albert_layers.0.full_layer_layer_norm",
        ),
        ("pooler.dense.weight", "pooler.weight"),
        ("pooler.dense.bias", "pooler.bias"),
        ("cls.predictions.transform.dense", "predictions.dense"),
        ("cls.predictions.transform.LayerNorm", "predictions.LayerNorm"),
        ("cls.predictions.decoder.weight", "predictions.decoder.weight"),
        ("cls.predictions.bias", "predictions.bias"),
        ("cls.seq_relationship", "sop_classifier.classifier"),
    ],
    aliases: &[("predictions.decoder.bias", "cls.predictions.bias")],
    marks: &["encoder.embedding_hidden_mapping_in", "encoder.albert_layer_groups"],
    absent: &[],
};
