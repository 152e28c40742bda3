//! A score of each token: above 0 if it looks like one that a generator put in the place of another.

use super::{HeadSpec, Stage};
use crate::contract::Activation;

pub(super) const SPEC: HeadSpec = HeadSpec {
    name: "replaced token detection",
    hub_task: "feature-extraction",
    scores: "replaced token scores",
    classes: &["ElectraForPreTraining"],
    own_tensor: Some("discriminator_predictions.dense_prediction.weight"),
    stages: |config| {
        let hidden = config.hidden_size;
        Ok(vec![
            Stage::linear("discriminator_predictions.dense", hidden, hidden, config.hidden_act),
            Stage::linear("discriminator_predictions.dense_prediction", 1, hidden, Activation::Identity),
        ])
    },
    ..HeadSpec::DEFAULT
};
