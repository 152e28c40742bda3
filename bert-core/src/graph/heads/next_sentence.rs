//! Two scores of a pair on the pooler: "is the next sentence" and "is not".

use super::{HeadSpec, POOLED, Stage};
use crate::contract::Activation;
use crate::graph::output::Axis;

pub(super) const SPEC: HeadSpec = HeadSpec {
    name: "next sentence prediction",
    hub_task: "next-sentence-prediction",
    scores: "next sentence scores",
    classes: &["ForNextSentencePrediction"],
    own_tensor: Some("cls.seq_relationship.weight"),
    reads: Axis::Sequences,
    gives: Axis::Sequences,
    summary: |_| Some(POOLED),
    stages: |config| {
        Ok(vec![
            Stage::Dropout(config.next_sentence_dropout),
            Stage::linear("cls.seq_relationship", 2, config.hidden_size, Activation::Identity),
        ])
    },
    ..HeadSpec::DEFAULT
};
