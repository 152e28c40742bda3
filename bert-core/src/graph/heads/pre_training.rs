//! Masked words and next sentences together, as BERT is pre-trained.

use super::{Head, HeadSpec};

pub(super) const SPEC: HeadSpec = HeadSpec {
    name: "pre-training",
    hub_task: "fill-mask",
    classes: &["ForPreTraining"],
    parts: &[Head::MaskedLm, Head::NextSentence],
    ..HeadSpec::DEFAULT
};
