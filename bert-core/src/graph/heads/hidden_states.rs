//! No head: the encoder alone.

use super::{HeadSpec, POOLED};

pub(super) const SPEC: HeadSpec = HeadSpec {
    name: "hidden states",
    hub_task: "feature-extraction",
    classes: &["Model"],
    summary: |config| config.pooler.then_some(POOLED),
    ..HeadSpec::DEFAULT
};
