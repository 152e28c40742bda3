//! RoBERTa, CamemBERT and XLM-RoBERTa: BERT's names but for the masked-LM head.

use super::{Family, Layout};
use crate::config::ModelType;

impl Family {
    /// RoBERTa, or a model that names its tensors alike.
    pub const ROBERTA: Self = Self("RoBERTa");
}

pub(super) const LAYOUT: Layout = Layout {
    family: Family::ROBERTA,
    model_types: &[ModelType::Roberta, ModelType::Camembert, ModelType::XlmRoberta],
    prefix: "roberta.",
    names: &[
        ("cls.predictions.transform.dense", "lm_head.dense"),
        ("cls.predictions.transform.LayerNorm", "lm_head.layer_norm"),
        ("cls.predictions.decoder.weight", "lm_head.decoder.weight"),
        ("cls.predictions.bias", "lm_head.bias"),
    ],
    aliases: &[("lm_head.decoder.bias", "cls.predictions.bias")],
    marks: &["lm_head.dense"],
    absent: &["cls.seq_relationship"],
};
