//! ELECTRA: BERT's names but for the generator's head.

use super::{Family, Layout};
use crate::config::ModelType;

impl Family {
    /// ELECTRA, generator or discriminator.
    pub const ELECTRA: Self = Self("ELECTRA");
}

pub(super) const LAYOUT: Layout = Layout {
    family: Family::ELECTRA,
    model_types: &[ModelType::Electra],
    prefix: "electra.",
    names: &[
        ("cls.predictions.transform.dense", "generator_predictions.dense"),
        ("cls.predictions.transform.LayerNorm", "generator_predictions.LayerNorm"),
        ("cls.predictions.decoder.weight", "generator_lm_head.weight"),
        ("cls.predictions.bias", "generator_lm_head.bias"),
    ],
    aliases: &[],
    marks: &["embeddings_project", "generator_predictions.dense", "discriminator_predictions.dense"],
    absent: &["pooler", "cls.seq_relationship"],
};
