//! The parameters of a model: each one once, with its name, its shape and how it begins.

use super::Head;
use super::embeddings::EmbeddingsSpec;
use super::heads::Stage;
use super::layer::LayerSpec;
use super::residual::last_norm;
use crate::Result;
use crate::config::ModelConfig;
use crate::tensor::Shape;

/// What a parameter is for, from which follow its values before training and whether weight decay pulls at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// The matrix of a linear layer, `[out_features, in_features]`.
    Weight,
    /// A table of rows.
    Table,
    /// What a linear layer adds.
    Bias,
    /// What a LayerNorm multiplies by.
    NormWeight,
    /// What a LayerNorm adds.
    NormBias,
    /// The matrix of an adapter that its input goes through first; see [`lora`](super::lora).
    LoraA,
    /// The one that follows.
    LoraB,
}

impl ParameterKind {
    /// Whether weight decay applies.
    pub fn decays(self) -> bool {
        matches!(self, Self::Weight | Self::Table | Self::LoraA | Self::LoraB)
    }
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// The canonical name, such as `encoder.layer.0.output.dense.weight`.
    pub name: String,
    /// The extents.
    pub shape: Shape,
    /// What it is for.
    pub kind: ParameterKind,
}

impl ParameterSpec {
    /// Mean and deviation of the values before training, given the configuration's `initializer_range`.
    pub fn initial(&self, range: f64) -> (f64, f64) {
        match self.kind {
            ParameterKind::Weight | ParameterKind::Table => (0.0, range),
            ParameterKind::NormWeight => (1.0, 0.0),
            ParameterKind::Bias | ParameterKind::NormBias | ParameterKind::LoraB => (0.0, 0.0),
            // What torch gives a linear layer, and PEFT an adapter.
            ParameterKind::LoraA => (0.0, (3.0 * self.shape[1] as f64).sqrt().recip()),
        }
    }
}

/// Every parameter of a model with this head, in the order of the graph. A masked-LM decoder that is tied to the
/// word embeddings is no parameter of its own.
///
/// ```
/// use bert_core::{ModelConfig, graph::{self, Head}};
/// let config = ModelConfig::from_json(r#"{"model_type": "bert"}"#)?;
/// let count = |head| -> bert_core::Result<usize> {
///     Ok(graph::parameters(&config, head)?.iter().map(|parameter| parameter.shape.elements()).sum())
/// };
/// assert_eq!(count(Head::None)?, 109_482_240);
/// assert_eq!(count(Head::MaskedLm)?, 109_514_298);
/// # Ok::<(), bert_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for a head that the family does not have, or without labels.
pub fn parameters(config: &ModelConfig, head: Head) -> Result<Vec<ParameterSpec>> {
    let mut list = EmbeddingsSpec::new(config).parameters();
    for index in 0..config.distinct_layers() {
        list.extend(LayerSpec::new(config, index).parameters());
    }
    list.extend(last_norm(config).iter().flat_map(NormSpec::parameters));
    if let Some((dense, _)) = head.summary(config) {
        list.extend(dense.parameters());
    }
    for part in head.parts() {
        list.extend(part.stages(config)?.iter().flat_map(Stage::parameters));
    }
    Ok(list)
}

/// The linear layer `{name}.weight [outputs, inputs]` and `{name}.bias [outputs]`.
#[derive(Clone, Debug)]
pub(super) struct LinearSpec {
    pub name: String,
    pub outputs: usize,
    pub inputs: usize,
}

impl LinearSpec {
    pub fn new(name: impl Into<String>, outputs: usize, inputs: usize) -> Self {
        Self { name: name.into(), outputs, inputs }
    }

    pub fn weight(&self) -> ParameterSpec {
        spec(&self.name, "weight", [self.outputs, self.inputs], ParameterKind::Weight)
    }

    pub fn bias(&self) -> ParameterSpec {
        spec(&self.name, "bias", [self.outputs], ParameterKind::Bias)
    }

    pub fn parameters(&self) -> Vec<ParameterSpec> {
        vec![self.weight(), self.bias()]
    }
}

/// The LayerNorm `{name}.weight` and `{name}.bias`, both `[size]`.
#[derive(Clone, Debug)]
pub(super) struct NormSpec {
    pub name: String,
    pub size: usize,
}

impl NormSpec {
    pub fn new(name: impl Into<String>, size: usize) -> Self {
        Self { name: name.into(), size }
    }

    pub fn parameters(&self) -> [ParameterSpec; 2] {
        [
            spec(&self.name, "weight", [self.size], ParameterKind::NormWeight),
            spec(&self.name, "bias", [self.size], ParameterKind::NormBias),
        ]
    }
}

/// The table `{name}.weight [rows, columns]`.
pub(super) fn table(name: &str, rows: usize, columns: usize) -> ParameterSpec {
    spec(name, "weight", [rows, columns], ParameterKind::Table)
}

/// The word embeddings, which a tied masked-LM decoder shares.
pub(super) fn words(config: &ModelConfig) -> ParameterSpec {
    table("embeddings.word_embeddings", config.vocab_size, config.embedding_size)
}

fn spec(name: &str, part: &str, shape: impl Into<Shape>, kind: ParameterKind) -> ParameterSpec {
    ParameterSpec { name: format!("{name}.{part}"), shape: shape.into(), kind }
}
