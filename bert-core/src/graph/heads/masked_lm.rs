//! A transform of the hidden state, then a score for each word. The decoder is the word embedding table unless
//! the checkpoint has its own.

use super::{HeadSpec, Stage};
use crate::config::ModelConfig;
use crate::graph::output::Axis;

pub(super) const SPEC: HeadSpec = HeadSpec {
    name: "masked language modelling",
    hub_task: "fill-mask",
    scores: "vocabulary scores",
    classes: &["ForMaskedLM", "LMHeadModel"],
    own_tensor: Some("cls.predictions.transform.dense.weight"),
    reads: Axis::Marked,
    gives: Axis::Marked,
    stages: |config| Ok(stages(config)),
    ..HeadSpec::DEFAULT
};

/// `[rows, hidden]` -> `[rows, vocab]`
pub(super) fn stages(config: &ModelConfig) -> Vec<Stage> {
    let (hidden, width) = (config.hidden_size, config.embedding_size);
    let activation = config.masked_lm_act.unwrap_or(config.hidden_act);
    vec![
        Stage::linear("cls.predictions.transform.dense", width, hidden, activation),
        Stage::norm("cls.predictions.transform.LayerNorm", width),
        Stage::decoder("cls.predictions", config),
    ]
}
