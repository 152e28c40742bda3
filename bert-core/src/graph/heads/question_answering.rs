//! Two scores of each token: as the start and as the end of an answer.

use super::{HeadSpec, Stage};
use crate::contract::Activation;

pub(super) const SPEC: HeadSpec = HeadSpec {
    name: "question answering",
    hub_task: "question-answering",
    scores: "answer spans",
    classes: &["ForQuestionAnswering"],
    own_tensor: Some("qa_outputs.weight"),
    stages: |config| Ok(vec![Stage::linear("qa_outputs", 2, config.hidden_size, Activation::Identity)]),
    ..HeadSpec::DEFAULT
};
