//! A score of each label for each token.

use super::{HeadSpec, Stage, labels};
use crate::contract::Activation;

pub(super) const SPEC: HeadSpec = HeadSpec {
    name: "token classification",
    hub_task: "token-classification",
    scores: "token labels",
    classes: &["ForTokenClassification"],
    stages: |config| {
        Ok(vec![
            Stage::Dropout(config.classifier_dropout()),
            Stage::linear("classifier", labels(config)?, config.hidden_size, Activation::Identity),
        ])
    },
    ..HeadSpec::DEFAULT
};
