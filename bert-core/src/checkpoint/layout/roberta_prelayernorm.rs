//! RoBERTa with a LayerNorm before each half of a layer: RoBERTa's names but for these.

use super::{Family, Layout, roberta};
use crate::config::ModelType;

impl Family {
    /// RoBERTa whose layers normalise before each of their halves.
    pub const ROBERTA_PRELAYERNORM: Self = Self("RoBERTa-PreLayerNorm");
}

pub(super) const LAYOUT: Layout = Layout {
    family: Family::ROBERTA_PRELAYERNORM,
    model_types: &[ModelType::RobertaPreLayerNorm],
    prefix: "roberta_prelayernorm.",
    names: &[
        ("encoder.layer.*.attention.output.LayerNorm", "encoder.layer.*.attention.LayerNorm"),
        ("encoder.layer.*.output.LayerNorm", "encoder.layer.*.intermediate.LayerNorm"),
        ("encoder.LayerNorm", "LayerNorm"),
        ("cls.predictions.transform.dense", "lm_head.dense"),
        ("cls.predictions.transform.LayerNorm", "lm_head.layer_norm"),
        ("cls.predictions.decoder.weight", "lm_head.decoder.weight"),
        ("cls.predictions.bias", "lm_head.bias"),
    ],
    marks: &["encoder.layer.*.attention.LayerNorm", "encoder.layer.*.intermediate.LayerNorm"],
    ..roberta::LAYOUT
};
