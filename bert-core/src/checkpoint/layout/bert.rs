//! BERT, whose names are the canonical ones.

use super::{Family, Layout};
use crate::config::ModelType;

impl Family {
    /// BERT in any size, or a model that names its tensors alike.
    pub const BERT: Self = Self("BERT");
}

pub(super) const LAYOUT: Layout = Layout {
    family: Family::BERT,
    model_types: &[ModelType::Bert],
    prefix: "bert.",
    names: &[],
    // The decoder's bias is one tensor under two names, and many files hold both.
    aliases: &[("cls.predictions.decoder.bias", "cls.predictions.bias")],
    marks: &["embeddings.word_embeddings"],
    absent: &[],
};
