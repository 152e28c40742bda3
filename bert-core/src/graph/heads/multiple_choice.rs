//! One score of each sequence, to be compared with those of its alternatives.

use super::{HeadSpec, Stage};
use crate::contract::Activation;
use crate::graph::output::Axis;

pub(super) const SPEC: HeadSpec = HeadSpec {
    name: "multiple choice",
    hub_task: "multiple-choice",
    scores: "choice scores",
    classes: &["ForMultipleChoice"],
    reads: Axis::Sequences,
    gives: Axis::Sequences,
    summary: |config| Some(config.multiple_choice),
    stages: |config| {
        let output = config.multiple_choice.output;
        Ok(vec![
            Stage::Dropout(config.classifier_dropout()),
            Stage::linear(output, 1, config.hidden_size, Activation::Identity),
        ])
    },
    ..HeadSpec::DEFAULT
};
