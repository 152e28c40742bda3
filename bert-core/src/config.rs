//! `config.json` -> [`ModelConfig`], every field followed to the letter.
//!
//! ```
//! use bert_core::{ModelConfig, ops::Activation};
//! let config = ModelConfig::from_json(r#"{"model_type": "distilbert", "dim": 768, "activation": "gelu"}"#)?;
//! assert_eq!((config.hidden_size, config.num_hidden_layers), (768, 6));
//! assert_eq!(config.hidden_act, Activation::Gelu);
//! # Ok::<(), bert_core::Error>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;

use crate::graph::Head;
use crate::ops::Activation;
use crate::{Error, Result};

/// The two layouts of checkpoints that the model graph runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelType {
    /// BERT in all its sizes. Source: Devlin et al., 2018.
    Bert,
    /// BERT without segment embeddings and pooler. Source: Sanh et al., 2019.
    DistilBert,
}

impl fmt::Display for ModelType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bert => "bert",
            Self::DistilBert => "distilbert",
        })
    }
}

/// What the scores of a sequence classifier mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemType {
    /// One number, as it is.
    Regression,
    /// One label out of several: softmax.
    SingleLabelClassification,
    /// Any number of labels: a sigmoid for each.
    MultiLabelClassification,
}

/// The shape of a model and what its outputs mean.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The layout of the checkpoint.
    pub model_type: ModelType,
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Extent of a hidden state.
    pub hidden_size: usize,
    /// Count of encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads of a layer; a divisor of `hidden_size`.
    pub num_attention_heads: usize,
    /// Extent of the feed-forward network's inner state.
    pub intermediate_size: usize,
    /// What follows the feed-forward network's first linear layer.
    pub hidden_act: Activation,
    /// The longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Count of segment ids; 0 for DistilBERT, which has none.
    pub type_vocab_size: usize,
    /// Added to the variance in every LayerNorm.
    pub layer_norm_eps: f64,
    /// The names of the labels, by index.
    pub labels: Vec<String>,
    /// What the scores of a sequence classifier mean, if the file says it.
    pub problem_type: Option<ProblemType>,
    /// Dropout before a classifier, in training; the hidden dropout where the file names none.
    pub classifier_dropout: f64,
    /// Dropout of hidden states, in training.
    pub hidden_dropout_prob: f64,
    /// Dropout of attention weights, in training.
    pub attention_probs_dropout_prob: f64,
    /// Whether the masked-LM decoder is the word embedding table.
    pub tie_word_embeddings: bool,
    /// The class names that the checkpoint was saved from, such as `BertForMaskedLM`.
    pub architectures: Vec<String>,
}

/// The file as it is written. Aliases are DistilBERT's names for the same things.
#[derive(Deserialize)]
struct File {
    model_type: Option<String>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    vocab_size: Option<usize>,
    #[serde(alias = "dim")]
    hidden_size: Option<usize>,
    #[serde(alias = "n_layers")]
    num_hidden_layers: Option<usize>,
    #[serde(alias = "n_heads")]
    num_attention_heads: Option<usize>,
    #[serde(alias = "hidden_dim")]
    intermediate_size: Option<usize>,
    #[serde(alias = "activation")]
    hidden_act: Option<String>,
    max_position_embeddings: Option<usize>,
    type_vocab_size: Option<usize>,
    layer_norm_eps: Option<f64>,
    position_embedding_type: Option<String>,
    is_decoder: Option<bool>,
    add_cross_attention: Option<bool>,
    pruned_heads: Option<BTreeMap<String, Vec<usize>>>,
    id2label: Option<BTreeMap<String, String>>,
    num_labels: Option<usize>,
    problem_type: Option<ProblemType>,
    #[serde(alias = "seq_classif_dropout")]
    classifier_dropout: Option<f64>,
    #[serde(alias = "dropout")]
    hidden_dropout_prob: Option<f64>,
    #[serde(alias = "attention_dropout")]
    attention_probs_dropout_prob: Option<f64>,
    tie_word_embeddings: Option<bool>,
}

impl ModelConfig {
    /// Reads `config.json` in a checkpoint folder.
    ///
    /// # Errors
    /// [`Error::ConfigFile`] if it cannot be read, and what [`from_json`](Self::from_json) says.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::from_json(&text),
            Err(source) => Err(Error::ConfigFile { path, source }),
        }
    }

    /// Reads the text of a `config.json`. What it leaves out takes the default of its `model_type`; a
    /// missing `model_type` means BERT, since the first checkpoints were published without one.
    ///
    /// # Errors
    /// [`Error::ConfigJson`] for broken JSON or a field of the wrong type; [`Error::Config`] for a value
    /// that this model graph does not have.
    pub fn from_json(text: &str) -> Result<Self> {
        let file: File = serde_json::from_str(text)?;
        let model_type = match file.model_type.as_deref() {
            Some("bert") | None => ModelType::Bert,
            Some("distilbert") => ModelType::DistilBert,
            Some(other) => return Err(invalid("model_type", other, "this engine runs bert and distilbert")),
        };
        if let Some(kind) = file.position_embedding_type.as_deref().filter(|&kind| kind != "absolute") {
            return Err(invalid("position_embedding_type", kind, "only absolute positions are supported"));
        }
        if file.is_decoder == Some(true) || file.add_cross_attention == Some(true) {
            return Err(invalid(
                "is_decoder",
                "true",
                "this engine runs encoders, which see both directions",
            ));
        }
        if file.pruned_heads.is_some_and(|heads| heads.values().any(|heads| !heads.is_empty())) {
            return Err(invalid(
                "pruned_heads",
                "not empty",
                "checkpoints with pruned heads are not supported",
            ));
        }

        let distil = model_type == ModelType::DistilBert;
        let hidden_dropout_prob = file.hidden_dropout_prob.unwrap_or(0.1);
        let config = Self {
            model_type,
            vocab_size: positive("vocab_size", file.vocab_size, 30522)?,
            hidden_size: positive("hidden_size", file.hidden_size, 768)?,
            num_hidden_layers: positive(
                "num_hidden_layers",
                file.num_hidden_layers,
                if distil { 6 } else { 12 },
            )?,
            num_attention_heads: positive("num_attention_heads", file.num_attention_heads, 12)?,
            intermediate_size: positive("intermediate_size", file.intermediate_size, 3072)?,
            hidden_act: activation(file.hidden_act.as_deref().unwrap_or("gelu"))?,
            max_position_embeddings: positive("max_position_embeddings", file.max_position_embeddings, 512)?,
            type_vocab_size: if distil { 0 } else { positive("type_vocab_size", file.type_vocab_size, 2)? },
            // DistilBERT's code has this value fixed.
            layer_norm_eps: if distil { 1e-12 } else { file.layer_norm_eps.unwrap_or(1e-12) },
            labels: labels(file.id2label, file.num_labels)?,
            problem_type: file.problem_type,
            classifier_dropout: file.classifier_dropout.unwrap_or(if distil {
                0.2
            } else {
                hidden_dropout_prob
            }),
            hidden_dropout_prob,
            attention_probs_dropout_prob: file.attention_probs_dropout_prob.unwrap_or(0.1),
            tie_word_embeddings: file.tie_word_embeddings.unwrap_or(true),
            architectures: file.architectures.unwrap_or_default(),
        };
        if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            let expected = format!("it must divide hidden_size {}", config.hidden_size);
            return Err(invalid("num_attention_heads", config.num_attention_heads, expected));
        }
        if !(config.layer_norm_eps >= 0.0 && config.layer_norm_eps < 1.0) {
            return Err(invalid("layer_norm_eps", config.layer_norm_eps, "it must lie between 0 and 1"));
        }
        Ok(config)
    }

    /// Extent of one attention head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// The head that the checkpoint was saved with, as its class name tells; `None` if the file names no
    /// class that is known here.
    pub fn head(&self) -> Option<Head> {
        self.architectures.iter().find_map(|class| Head::from_class(class))
    }
}

fn invalid(field: &'static str, found: impl fmt::Display, expected: impl Into<String>) -> Error {
    Error::Config { field, found: found.to_string(), expected: expected.into() }
}

fn positive(field: &'static str, value: Option<usize>, default: usize) -> Result<usize> {
    // The limit keeps every product of two extents far from overflow; the largest BERT has 119,547 rows.
    match value.unwrap_or(default) {
        value @ 1..=0xffff_ffff => Ok(value),
        value => Err(invalid(field, value, "it must lie between 1 and 2^32")),
    }
}

fn activation(name: &str) -> Result<Activation> {
    match name {
        "gelu" | "gelu_python" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        "tanh" => Ok(Activation::Tanh),
        other => Err(invalid(
            "hidden_act",
            other,
            "known are gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu, tanh",
        )),
    }
}

/// The names by index. A file without names gets `LABEL_0`, `LABEL_1` …, two of them unless it says how many.
fn labels(id2label: Option<BTreeMap<String, String>>, num_labels: Option<usize>) -> Result<Vec<String>> {
    let Some(id2label) = id2label.filter(|names| !names.is_empty()) else {
        let count = num_labels.unwrap_or(2);
        if count > 100_000 {
            return Err(invalid("num_labels", count, "it must be at most 100000"));
        }
        return Ok((0..count).map(|index| format!("LABEL_{index}")).collect());
    };
    let mut names = vec![None; id2label.len()];
    for (key, name) in id2label {
        let slot = key.trim().parse().ok().and_then(|index: usize| names.get_mut(index));
        match slot {
            Some(slot @ None) => *slot = Some(name),
            _ => {
                return Err(invalid(
                    "id2label",
                    format!("{key:?}: {name:?}"),
                    "keys must count from 0 without a gap",
                ));
            }
        }
    }
    Ok(names.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(json: &str) -> &'static str {
        match ModelConfig::from_json(json) {
            Err(Error::Config { field, .. }) => field,
            other => panic!("{json} gave {other:?}"),
        }
    }

    #[test]
    fn the_first_published_configs_have_no_model_type() {
        let config = ModelConfig::from_json(
            r#"{"hidden_size": 128, "hidden_act": "gelu", "vocab_size": 30522, "num_attention_heads": 2,
                "type_vocab_size": 2, "max_position_embeddings": 512, "num_hidden_layers": 2,
                "intermediate_size": 512}"#,
        )
        .unwrap();
        assert_eq!(config.model_type, ModelType::Bert);
        assert_eq!((config.hidden_size, config.num_hidden_layers, config.head_size()), (128, 2, 64));
        assert_eq!(config.layer_norm_eps, 1e-12);
        assert_eq!(config.labels, ["LABEL_0", "LABEL_1"]);
    }

    #[test]
    fn distilbert_spells_the_same_fields_differently() {
        let config = ModelConfig::from_json(
            r#"{"model_type": "distilbert", "dim": 96, "n_layers": 3, "n_heads": 4, "hidden_dim": 200,
                "activation": "relu", "dropout": 0.3, "seq_classif_dropout": 0.4}"#,
        )
        .unwrap();
        assert_eq!((config.hidden_size, config.num_hidden_layers, config.num_attention_heads), (96, 3, 4));
        assert_eq!((config.intermediate_size, config.type_vocab_size), (200, 0));
        assert_eq!(config.hidden_act, Activation::Relu);
        assert_eq!((config.hidden_dropout_prob, config.classifier_dropout), (0.3, 0.4));
    }

    #[test]
    fn erf_gelu_and_tanh_gelu_are_two_functions() {
        for (name, want) in
            [("gelu", Activation::Gelu), ("gelu_new", Activation::GeluTanh), ("relu", Activation::Relu)]
        {
            let config = ModelConfig::from_json(&format!(r#"{{"hidden_act": "{name}"}}"#)).unwrap();
            assert_eq!(config.hidden_act, want);
        }
        assert_eq!(field_of(r#"{"hidden_act": "mish"}"#), "hidden_act");
    }

    #[test]
    fn what_the_graph_does_not_have_is_an_error() {
        assert_eq!(field_of(r#"{"model_type": "roberta"}"#), "model_type");
        assert_eq!(field_of(r#"{"position_embedding_type": "relative_key"}"#), "position_embedding_type");
        assert_eq!(field_of(r#"{"is_decoder": true}"#), "is_decoder");
        assert_eq!(field_of(r#"{"pruned_heads": {"3": [1]}}"#), "pruned_heads");
        assert_eq!(field_of(r#"{"num_attention_heads": 7}"#), "num_attention_heads");
        assert_eq!(field_of(r#"{"hidden_size": 0}"#), "hidden_size");
        assert_eq!(field_of(r#"{"layer_norm_eps": 1e9}"#), "layer_norm_eps");
        assert_eq!(field_of(r#"{"num_labels": 1000000000}"#), "num_labels");
    }

    #[test]
    fn broken_json_and_wrong_types_are_errors() {
        for text in ["", "{", "[]", "{\"hidden_size\": \"big\"}", "{\"hidden_size\": -3}", "\0"] {
            assert!(matches!(ModelConfig::from_json(text), Err(Error::ConfigJson(_))), "{text:?}");
        }
    }

    #[test]
    fn labels_are_sorted_by_number_and_have_no_gap() {
        let ten: Vec<String> = (0..11).map(|i| format!(r#""{i}": "L{i}""#)).collect();
        let config = ModelConfig::from_json(&format!(r#"{{"id2label": {{{}}}}}"#, ten.join(","))).unwrap();
        assert_eq!(config.labels[2], "L2");
        assert_eq!(config.labels[10], "L10");
        assert_eq!(field_of(r#"{"id2label": {"0": "a", "2": "b"}}"#), "id2label");
        assert_eq!(field_of(r#"{"id2label": {"a": "0"}}"#), "id2label");
        let three = ModelConfig::from_json(r#"{"num_labels": 3}"#).unwrap();
        assert_eq!(three.labels.len(), 3);
    }

    #[test]
    fn the_class_name_tells_the_head() {
        let config = ModelConfig::from_json(r#"{"architectures": ["BertForTokenClassification"]}"#).unwrap();
        assert_eq!(config.head(), Some(Head::TokenClassification));
    }
}
