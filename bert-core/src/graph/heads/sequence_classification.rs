//! A score of each label for each sequence.

use super::{HeadSpec, Stage, labels};
use crate::contract::Activation;
use crate::graph::output::Axis;

pub(super) const SPEC: HeadSpec = HeadSpec {
    name: "sequence classification",
    hub_task: "text-classification",
    scores: "sequence labels",
    classes: &["ForSequenceClassification"],
    reads: Axis::Sequences,
    gives: Axis::Sequences,
    summary: |config| Some(config.sequence_classifier),
    stages: |config| {
        let output = config.sequence_classifier.output;
        Ok(vec![
            Stage::Dropout(config.classifier_dropout()),
            Stage::linear(output, labels(config)?, config.hidden_size, Activation::Identity),
        ])
    },
    ..HeadSpec::DEFAULT
};
