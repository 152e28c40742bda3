//! `config.json` <-> [`ModelConfig`], every key followed to the letter.
//!
//! ```
//! use bert_core::{ModelConfig, contract::Activation};
//! let config = ModelConfig::from_json(r#"{"model_type": "distilbert", "dim": 768, "activation": "gelu"}"#)?;
//! assert_eq!((config.hidden_size, config.num_hidden_layers), (768, 6));
//! assert_eq!(config.hidden_act, Activation::Gelu);
//! # Ok::<(), bert_core::Error>(())
//! ```
//!
//! A family is one file here, which says how it differs from BERT: its defaults, its own words for keys, and
//! what it makes of the keys that only it has. Keys that change no result (`use_cache`, `torch_dtype` and what
//! trainers note down) say nothing here, as in transformers; a value that changes results and that the model
//! graph does not have is refused by name.

mod albert;
mod bert;
mod distilbert;
mod electra;
mod keys;
mod roberta;
mod roberta_prelayernorm;
mod write;

use std::fmt;
use std::path::Path;

use keys::{Keys, invalid};
use serde_json::Value;

use crate::contract::Activation;
use crate::{Error, Result};

/// The families of models that the graph runs, by the word in `model_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelType {
    /// BERT in all its sizes.
    Bert,
    /// BERT without segment embeddings and pooler.
    DistilBert,
    /// RoBERTa and DistilRoBERTa.
    Roberta,
    /// RoBERTa on French.
    Camembert,
    /// RoBERTa on a hundred languages.
    XlmRoberta,
    /// RoBERTa with a LayerNorm before each half of a layer.
    RobertaPreLayerNorm,
    /// ELECTRA, generator or discriminator.
    Electra,
    /// ALBERT, whose layers share their parameters.
    Albert,
}

/// Every family, with the words that `model_type` has for it. The first one is for messages.
const FAMILIES: &[(&str, &Family)] = &[
    ("bert", &bert::FAMILY),
    ("distilbert", &distilbert::FAMILY),
    ("roberta", &roberta::ROBERTA),
    ("camembert", &roberta::CAMEMBERT),
    ("xlm-roberta", &roberta::XLM_ROBERTA),
    ("roberta-prelayernorm", &roberta_prelayernorm::FAMILY),
    ("electra", &electra::FAMILY),
    ("albert", &albert::FAMILY),
];

/// How a family differs from BERT.
struct Family {
    model_type: ModelType,
    /// What the names of its classes begin with.
    class: &'static str,
    /// Its own words for keys: `(key, its own word)`.
    own_keys: &'static [(&'static str, &'static str)],
    /// What counts where a file says nothing.
    defaults: fn() -> ModelConfig,
    /// What follows from the keys that only this family has.
    finish: fn(&Keys, &mut ModelConfig) -> Result<()>,
    /// Those keys, to be written.
    write: fn(&ModelConfig) -> Vec<(&'static str, Value)>,
}

impl ModelType {
    /// A class name without the family in front: `ForMaskedLM` of `BertForMaskedLM`; `None` for another family.
    pub(crate) fn strip_class(class: &str) -> Option<&str> {
        // One family's name may begin with that of another: the longest counts.
        FAMILIES
            .iter()
            .filter_map(|(_, family)| class.strip_prefix(family.class))
            .min_by_key(|rest| rest.len())
    }

    /// The name of a class of this family: `BertForMaskedLM` for `ForMaskedLM`.
    pub(crate) fn class(self, class: &str) -> String {
        format!("{}{class}", self.family().1.class)
    }

    fn family(self) -> (&'static str, &'static Family) {
        *FAMILIES.iter().find(|(_, family)| family.model_type == self).expect("every family is in the table")
    }
}

impl fmt::Display for ModelType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family().0)
    }
}

/// What the scores of a sequence classifier mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemType {
    /// One number, as it is.
    Regression,
    /// One label out of several: softmax.
    SingleLabelClassification,
    /// Any number of labels: a sigmoid for each.
    MultiLabelClassification,
}

/// Problem types as `config.json` spells them.
const PROBLEM_TYPES: [(&str, ProblemType); 3] = [
    ("regression", ProblemType::Regression),
    ("single_label_classification", ProblemType::SingleLabelClassification),
    ("multi_label_classification", ProblemType::MultiLabelClassification),
];

/// Which row of the position table a token gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// The first token of a sequence has position 0.
    FromZero,
    /// Tokens count from the one after the id of the padding token. That token itself, where a text holds it, does
    /// not count and has its own id as position. Source: RoBERTa's code.
    AfterPadding(u32),
}

impl Positions {
    /// The positions of a sequence of these ids.
    pub fn of(self, ids: &[u32]) -> impl Iterator<Item = u32> + '_ {
        let mut next = self.first();
        ids.iter().map(move |&id| match self {
            Self::AfterPadding(padding) if id == padding => padding,
            _ => {
                next += 1;
                next - 1
            }
        })
    }

    /// The position of a first token.
    pub fn first(self) -> u32 {
        match self {
            Self::FromZero => 0,
            Self::AfterPadding(padding) => padding + 1,
        }
    }
}

/// Which encoder layers share their parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerSharing {
    /// Each layer has its own.
    None,
    /// There are so many sets of them; each one serves layers that follow one another.
    Groups(usize),
}

/// Where a layer normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlace {
    /// After the residual is added to what each half of the layer gives.
    After,
    /// Before each half of the layer; what the last layer gives is normalised once more.
    Before,
}

/// What a family puts between the first token of a sequence and a score of the whole sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceHead {
    /// The name of a linear layer `[hidden, hidden]` on the first token's hidden state.
    pub dense: &'static str,
    /// What follows it.
    pub activation: Activation,
    /// The name of the linear layer that gives the scores.
    pub output: &'static str,
}

/// The shape of a model and what its outputs mean.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub model_type: ModelType,
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Extent of a row of the embedding tables.
    pub embedding_size: usize,
    /// Whether a linear layer leads from there to hidden states; it has to where the extents differ.
    pub embedding_projection: bool,
    /// Extent of a hidden state.
    pub hidden_size: usize,
    /// Count of encoder layers.
    pub num_hidden_layers: usize,
    /// Which of them share their parameters.
    pub layer_sharing: LayerSharing,
    /// Attention heads of a layer; a divisor of `hidden_size`.
    pub num_attention_heads: usize,
    /// Extent of the feed-forward network's inner state.
    pub intermediate_size: usize,
    /// What follows the feed-forward network's first linear layer.
    pub hidden_act: Activation,
    /// Rows of the position embedding table.
    pub max_position_embeddings: usize,
    /// Which row of it a token gets.
    pub positions: Positions,
    /// Count of segment ids; 0 for a family that has none.
    pub type_vocab_size: usize,
    /// Added to the variance in every LayerNorm.
    pub layer_norm_eps: f64,
    /// Where a layer normalises.
    pub norm_place: NormPlace,
    /// Whether the family has a pooler: `tanh` of a linear layer on the first token's hidden state.
    pub pooler: bool,
    /// The layers of a sequence classifier.
    pub sequence_classifier: SequenceHead,
    /// The layers of a multiple-choice head.
    pub multiple_choice: SequenceHead,
    /// Dropout before the layer that tells whether the second sentence follows, in training.
    pub next_sentence_dropout: f64,
    /// What follows the masked-LM head's first linear layer, where it is not `hidden_act`.
    pub masked_lm_act: Option<Activation>,
    /// The names of the labels, by index.
    pub labels: Vec<String>,
    /// What the scores of a sequence classifier mean, if the file says it.
    pub problem_type: Option<ProblemType>,
    /// Deviation of weights before training.
    pub initializer_range: f64,
    /// Dropout of hidden states, in training.
    pub hidden_dropout_prob: f64,
    /// Dropout of attention weights, in training.
    pub attention_probs_dropout_prob: f64,
    /// Dropout before a classifier, in training; `None` means that of hidden states.
    pub classifier_dropout: Option<f64>,
    /// Whether the masked-LM decoder is the word embedding table.
    pub tie_word_embeddings: bool,
    /// The class names that the checkpoint was saved from, such as `BertForMaskedLM`.
    pub architectures: Vec<String>,
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
    /// [`Error::ConfigJson`] for broken JSON; [`Error::Config`] for a value of the wrong type, or one that this
    /// model graph does not have.
    pub fn from_json(text: &str) -> Result<Self> {
        let keys = Keys::parse(text)?;
        let word = keys.word("model_type")?.unwrap_or("bert");
        let Some((_, family)) = FAMILIES.iter().find(|(known, _)| *known == word) else {
            let known: Vec<_> = FAMILIES.iter().map(|(known, _)| *known).collect();
            return Err(invalid("model_type", word, format!("the supported ones are {}", known.join(", "))));
        };
        let keys = keys.with_own(family.own_keys);
        refuse_other_models(&keys)?;
        let mut config = ModelConfig { model_type: family.model_type, ..read((family.defaults)(), &keys)? };
        (family.finish)(&keys, &mut config)?;
        config.check()?;
        Ok(config)
    }

    /// Extent of one attention head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// How many encoder layers have parameters of their own.
    pub fn distinct_layers(&self) -> usize {
        match self.layer_sharing {
            LayerSharing::None => self.num_hidden_layers,
            LayerSharing::Groups(groups) => groups,
        }
    }

    /// Which of the [distinct layers](Self::distinct_layers) the encoder's `index`-th is, both counted from 0.
    pub fn distinct_layer(&self, index: usize) -> usize {
        // In the floats of transformers, whose rounding decides where counts do not divide each other.
        (index as f64 / (self.num_hidden_layers as f64 / self.distinct_layers() as f64)) as usize
    }

    /// The longest sequence, in tokens.
    pub fn max_tokens(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.positions.first() as usize)
    }

    /// Dropout before a classifier, in training.
    pub fn classifier_dropout(&self) -> f64 {
        self.classifier_dropout.unwrap_or(self.hidden_dropout_prob)
    }

    fn check(&self) -> Result<()> {
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let expected = format!("it must divide hidden_size {}", self.hidden_size);
            return Err(invalid("num_attention_heads", self.num_attention_heads, expected));
        }
        if self.max_tokens() == 0 {
            let expected = format!("positions begin at {}", self.positions.first());
            return Err(invalid("max_position_embeddings", self.max_position_embeddings, expected));
        }
        Ok(())
    }
}

/// What makes another model than an encoder with absolute positions.
fn refuse_other_models(keys: &Keys) -> Result<()> {
    keys.only("position_embedding_type", "absolute", "only absolute positions are supported")?;
    keys.only("is_decoder", false, "only encoders are supported, whose attention sees both directions")?;
    keys.only("add_cross_attention", false, "only encoders are supported, which have no cross-attention")?;
    keys.empty("pruned_heads", "checkpoints with pruned heads are not supported")?;
    keys.empty("quantization_config", "checkpoints quantised by another engine are not supported")
}

/// The keys that families have in common.
fn read(defaults: ModelConfig, keys: &Keys) -> Result<ModelConfig> {
    let problem_type = keys.word("problem_type")?.map(|word| {
        let known = PROBLEM_TYPES.iter().find(|(known, _)| *known == word);
        known.map(|&(_, problem)| problem).ok_or_else(|| {
            let known = PROBLEM_TYPES.map(|(known, _)| known).join(", ");
            invalid("problem_type", word, format!("the known ones are {known}"))
        })
    });
    let hidden_size = keys.size("hidden_size", defaults.hidden_size)?;
    let dropout = keys.get_fraction("classifier_dropout")?;
    Ok(ModelConfig {
        vocab_size: keys.size("vocab_size", defaults.vocab_size)?,
        embedding_size: hidden_size,
        hidden_size,
        num_hidden_layers: keys.size("num_hidden_layers", defaults.num_hidden_layers)?,
        num_attention_heads: keys.size("num_attention_heads", defaults.num_attention_heads)?,
        intermediate_size: keys.size("intermediate_size", defaults.intermediate_size)?,
        hidden_act: keys.activation("hidden_act", defaults.hidden_act)?,
        max_position_embeddings: keys.size("max_position_embeddings", defaults.max_position_embeddings)?,
        type_vocab_size: keys.size("type_vocab_size", defaults.type_vocab_size)?,
        layer_norm_eps: keys.fraction("layer_norm_eps", defaults.layer_norm_eps)?,
        labels: keys.labels()?,
        problem_type: problem_type.transpose()?,
        initializer_range: keys.fraction("initializer_range", defaults.initializer_range)?,
        hidden_dropout_prob: keys.fraction("hidden_dropout_prob", defaults.hidden_dropout_prob)?,
        attention_probs_dropout_prob: keys
            .fraction("attention_probs_dropout_prob", defaults.attention_probs_dropout_prob)?,
        classifier_dropout: dropout.or(defaults.classifier_dropout),
        tie_word_embeddings: keys.flag("tie_word_embeddings", defaults.tie_word_embeddings)?,
        architectures: keys.words("architectures")?,
        ..defaults
    })
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
        assert_eq!((config.hidden_dropout_prob, config.classifier_dropout()), (0.3, 0.4));
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
        assert_eq!(field_of(r#"{"model_type": "gpt2"}"#), "model_type");
        for (word, _) in FAMILIES {
            let field = |rest: &str| field_of(&format!(r#"{{"model_type": "{word}", {rest}}}"#));
            assert_eq!(field(r#""position_embedding_type": "relative_key""#), "position_embedding_type");
            assert_eq!(field(r#""is_decoder": true"#), "is_decoder");
            assert_eq!(field(r#""add_cross_attention": true"#), "add_cross_attention");
            assert_eq!(field(r#""pruned_heads": {"3": [1]}"#), "pruned_heads");
            assert_eq!(field(r#""quantization_config": {"bits": 4}"#), "quantization_config");
            assert_eq!(field(r#""num_attention_heads": 7"#), "num_attention_heads");
            assert_eq!(field(r#""hidden_size": 0"#), "hidden_size");
            assert_eq!(field(r#""problem_type": "guessing""#), "problem_type");
            assert_eq!(field(r#""hidden_dropout_prob": 1.5"#), "hidden_dropout_prob");
            assert_eq!(field(r#""num_labels": 1000000000"#), "num_labels");
        }
        assert_eq!(field_of(r#"{"layer_norm_eps": 1e9}"#), "layer_norm_eps");
    }

    #[test]
    fn broken_json_and_wrong_types_are_errors() {
        for text in ["", "{", "[]", "\0"] {
            assert!(matches!(ModelConfig::from_json(text), Err(Error::ConfigJson(_))), "{text:?}");
        }
        for value in ["\"big\"", "-3", "1.5", "[1]", "true"] {
            assert_eq!(field_of(&format!(r#"{{"hidden_size": {value}}}"#)), "hidden_size");
        }
        assert_eq!(field_of(r#"{"model_type": "distilbert", "dim": "big"}"#), "dim");
        assert_eq!(field_of(r#"{"tie_word_embeddings": 1}"#), "tie_word_embeddings");
        assert_eq!(field_of(r#"{"architectures": "BertModel"}"#), "architectures");
        let long = format!(r#"{{"hidden_act": "{}"}}"#, "é".repeat(10_000));
        assert!(ModelConfig::from_json(&long).unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn files_are_read_as_python_reads_them() {
        let read = |text: &str| ModelConfig::from_json(text).unwrap();
        let plain = read(r#"{"hidden_act": "relu", "hidden_size": 96}"#);
        assert_eq!(read("\u{feff}{\"hidden_act\": \"relu\", \"hidden_size\": 96}"), plain);
        // The last of two; keys of another family say nothing; null is no value.
        assert_eq!(read(r#"{"hidden_act": "gelu", "hidden_size": 96, "hidden_act": "relu"}"#), plain);
        assert_eq!(read(r#"{"hidden_act": "relu", "hidden_size": 96, "dim": 48, "dropout": 0.9}"#), plain);
        assert_eq!(read(r#"{"hidden_act": "relu", "hidden_size": 96, "vocab_size": null}"#), plain);
        let distil = r#"{"model_type": "distilbert", "hidden_size": 96, "n_layers": 2}"#;
        assert_eq!((read(distil).hidden_size, read(distil).num_hidden_layers), (96, 2));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for (word, _) in FAMILIES {
            for rest in [
                "",
                r#", "hidden_size": 96, "num_attention_heads": 3, "hidden_act": "gelu_new""#,
                r#", "tie_word_embeddings": false, "id2label": {"0": "no", "1": "yes"}, "pad_token_id": 1"#,
                r#", "problem_type": "regression", "num_labels": 0, "classifier_dropout": 0.25"#,
                r#", "architectures": ["A", "B"], "initializer_range": 0.01, "max_position_embeddings": 9"#,
            ] {
                let config = ModelConfig::from_json(&format!(r#"{{"model_type": "{word}"{rest}}}"#)).unwrap();
                assert_eq!(
                    ModelConfig::from_json(&config.to_json()).unwrap(),
                    config,
                    "{}",
                    config.to_json()
                );
            }
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
        assert_eq!(field_of(r#"{"id2label": {"0": ["a"]}}"#), "id2label");
        let numbers = ModelConfig::from_json(r#"{"id2label": {"0": 7, "1": "b"}}"#).unwrap();
        assert_eq!(numbers.labels, ["7", "b"]);
        let three = ModelConfig::from_json(r#"{"num_labels": 3}"#).unwrap();
        assert_eq!(three.labels.len(), 3);
    }
}
