//! A weight of each word of the vocabulary for each sequence: the largest score that a masked-LM head gives it at
//! any token, cut at 0 and on a logarithmic scale. Source: "SPLADE v2" (Formal et al., 2021), eq. 1 with the
//! maximum of eq. 3.

use super::{Head, HeadSpec, Stage, masked_lm};
use crate::contract::{Pooling, UnaryOp};
use crate::graph::output::Axis;

pub(super) const SPEC: HeadSpec = HeadSpec {
    name: "sparse embedding",
    hub_task: "feature-extraction",
    scores: "word weights",
    stored_as: Some(Head::MaskedLm),
    gives: Axis::Sequences,
    stages: |config| {
        let mut stages = masked_lm::stages(config); // [tokens, vocab]
        // The maximum first: the logarithm of a maximum is the maximum of logarithms, and one row is less work.
        stages.push(Stage::Pool(Pooling::Max)); //     [sequences, vocab]
        stages.extend([UnaryOp::Relu, UnaryOp::Offset(1.0), UnaryOp::Log].map(Stage::Map));
        Ok(stages)
    },
    ..HeadSpec::DEFAULT
};
