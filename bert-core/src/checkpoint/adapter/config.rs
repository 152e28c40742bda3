//! `adapter_config.json`, as PEFT writes and reads it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::AdapterError;
use crate::graph::Head;

/// What an adapter is, apart from its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterConfig {
    /// The model that it was trained on: a folder, or a name on the hub.
    pub base: Option<String>,
    /// The head of the adapted model, if the file says it.
    pub head: Option<Head>,
    /// The rank of what is added to a weight, unless `rank_pattern` has another one for a layer.
    pub rank: usize,
    /// The product of the matrices is multiplied with `alpha / rank`, or with rank-stabilised scaling with
    /// `alpha / sqrt(rank)`.
    pub alpha: f64,
    /// Alphas of single layers, by the ends of their names.
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Whether scaling is rank-stabilised.
    pub rslora: bool,
    /// The share of its input that is dropped in training.
    pub dropout: f64,
    /// The ends of the names of the layers that have adapters.
    pub targets: Vec<String>,
    /// The modules that were trained as a whole, such as a classifier.
    pub modules_to_save: Vec<String>,
}

/// PEFT's words for tasks.
const TASKS: [(&str, Head); 4] = [
    ("SEQ_CLS", Head::SequenceClassification),
    ("TOKEN_CLS", Head::TokenClassification),
    ("QUESTION_ANS", Head::QuestionAnswering),
    ("FEATURE_EXTRACTION", Head::None),
];

/// Keys that change results in ways that are not supported, unless they are missing, null, false or empty.
const UNSUPPORTED: [&str; 13] = [
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "megatron_config",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "velora_config",
];

/// Ways to begin that change the weights of the base, too, so that the adapter does not fit the base as it is.
const CHANGE_THE_BASE: [&str; 5] = ["corda", "loftq", "lora_ga", "olora", "pissa"];

/// The keys that are read.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct File {
    peft_type: Option<String>,
    task_type: Option<String>,
    auto_mapping: Option<Mapping>,
    base_model_name_or_path: Option<String>,
    r: Option<usize>,
    lora_alpha: Option<f64>,
    alpha_pattern: Option<BTreeMap<String, f64>>,
    use_rslora: Option<bool>,
    lora_dropout: Option<f64>,
    target_modules: Option<Names>,
    modules_to_save: Option<Vec<String>>,
    bias: Option<String>,
    init_lora_weights: Value,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Mapping {
    base_model_class: Option<String>,
}

/// A list of names, or one pattern.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Pattern(String),
}

impl AdapterConfig {
    /// Reads the text of an `adapter_config.json`. `fan_in_fan_out` says nothing: it is about weights that are stored
    /// the other way round, which no linear layer of these models is.
    ///
    /// ```
    /// use bert_core::checkpoint::AdapterConfig;
    /// let text = r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 16, "target_modules": ["query", "value"]}"#;
    /// let config = AdapterConfig::from_json(text)?;
    /// assert_eq!(config.scale("bert.encoder.layer.0.attention.self.query", 4), 4.0);
    /// let dora = r#"{"peft_type": "LORA", "use_dora": true}"#;
    /// assert!(AdapterConfig::from_json(dora).unwrap_err().to_string().starts_with("use_dora is true"));
    /// # Ok::<(), bert_core::checkpoint::AdapterError>(())
    /// ```
    ///
    /// # Errors
    /// [`AdapterError::Json`]; [`AdapterError::Unsupported`] for another kind of adapter than LoRA, and for a setting
    /// that would change results.
    pub fn from_json(text: &str) -> Result<Self, AdapterError> {
        let all: Map<String, Value> = serde_json::from_str(text).map_err(AdapterError::Json)?;
        let unsupported = |key: &str, found: &dyn ToString, expected| {
            Err(AdapterError::Unsupported { key: key.to_owned(), found: found.to_string(), expected })
        };
        let file: File = serde_json::from_value(all.clone().into()).map_err(AdapterError::Json)?;
        if file.peft_type.as_deref() != Some("LORA") {
            let found = all.get("peft_type").unwrap_or(&Value::Null);
            return unsupported("peft_type", found, "only LORA is supported");
        }
        for key in UNSUPPORTED {
            let nothing = match all.get(key).unwrap_or(&Value::Null) {
                Value::Null | Value::Bool(false) => true,
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => false,
            };
            if !nothing {
                return unsupported(
                    key,
                    &all[key],
                    "this is not supported, and without it the results would be wrong",
                );
            }
        }
        if file.bias.as_deref().is_some_and(|bias| bias != "none") {
            return unsupported("bias", &all["bias"], "only adapters without biases are supported");
        }
        if let Some(word) = file.init_lora_weights.as_str()
            && CHANGE_THE_BASE.iter().any(|way| word.starts_with(way))
        {
            let expected =
                "it also changes the weights of the base model; convert the adapter to plain LoRA with PEFT";
            return unsupported("init_lora_weights", &word, expected);
        }
        let alpha_pattern = file.alpha_pattern.unwrap_or_default();
        for key in alpha_pattern.keys() {
            if literal(key).contains(['\\', '(', ')', '[', ']', '{', '}', '*', '+', '?', '|', '^', '$']) {
                return unsupported(
                    "alpha_pattern",
                    key,
                    "its keys must be ends of layer names, without patterns",
                );
            }
        }
        let class = file.auto_mapping.and_then(|mapping| mapping.base_model_class);
        let of_task = |word: String| TASKS.iter().find(|(task, _)| *task == word).map(|(_, head)| *head);
        Ok(Self {
            base: file.base_model_name_or_path.filter(|name| !name.is_empty()),
            head: file.task_type.and_then(of_task).or_else(|| Head::from_class(&class?)),
            // As PEFT has them.
            rank: file.r.unwrap_or(8),
            alpha: file.lora_alpha.unwrap_or(8.0),
            alpha_pattern,
            rslora: file.use_rslora.unwrap_or(false),
            dropout: file.lora_dropout.unwrap_or(0.0),
            targets: match file.target_modules {
                Some(Names::List(names)) => names,
                Some(Names::Pattern(pattern)) => vec![pattern],
                None => vec![],
            },
            modules_to_save: file.modules_to_save.unwrap_or_default(),
        })
    }

    /// The text of a file that PEFT and [`from_json`](Self::from_json) read as this. `class` is that of the adapted
    /// model, such as `BertForMaskedLM`, for tasks that PEFT has no word for.
    pub fn to_json(&self, class: &str) -> String {
        let task = TASKS.iter().find(|(_, head)| Some(*head) == self.head).map(|(task, _)| *task);
        let mapping =
            task.is_none().then(|| json!({ "base_model_class": class, "parent_library": "transformers" }));
        let saved = (!self.modules_to_save.is_empty()).then_some(&self.modules_to_save);
        let file = json!({
            "peft_type": "LORA",
            "task_type": task,
            "auto_mapping": mapping,
            "base_model_name_or_path": self.base,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "alpha_pattern": self.alpha_pattern,
            "use_rslora": self.rslora,
            "lora_dropout": self.dropout,
            "target_modules": self.targets,
            "modules_to_save": saved,
            "bias": "none",
            "fan_in_fan_out": false,
            "init_lora_weights": true,
            "inference_mode": true,
        });
        serde_json::to_string_pretty(&file).expect("names and numbers") + "\n"
    }

    /// What the product of the matrices of a layer is multiplied with, by its name in PEFT and the rank of the two.
    pub fn scale(&self, layer: &str, rank: usize) -> f64 {
        let own = self.alpha_pattern.iter().find(|(key, _)| {
            let whole = literal(key);
            layer == whole || (!key.starts_with('^') && ends_with(layer, &whole))
        });
        let alpha = own.map_or(self.alpha, |(_, alpha)| *alpha);
        alpha / if self.rslora { (rank as f64).sqrt() } else { rank as f64 }
    }
}

/// A key of a pattern without what a name of a layer needs to be one: `^`, `$`, and `\` before a full stop.
fn literal(key: &str) -> String {
    let key = key.strip_prefix('^').unwrap_or(key);
    key.strip_suffix('$').unwrap_or(key).replace(r"\.", ".")
}

/// Whether a path ends with a name, in whole parts.
pub(super) fn ends_with(path: &str, name: &str) -> bool {
    path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let config = AdapterConfig {
            base: Some("google-bert/bert-base-uncased".to_owned()),
            head: Some(Head::SequenceClassification),
            rank: 4,
            alpha: 12.0,
            alpha_pattern: [("layer.0.attention.self.query".to_owned(), 3.0)].into(),
            rslora: true,
            dropout: 0.1,
            targets: vec!["query".to_owned()],
            modules_to_save: vec!["classifier".to_owned()],
        };
        assert_eq!(AdapterConfig::from_json(&config.to_json("")).unwrap(), config);
        let masked = AdapterConfig { head: Some(Head::MaskedLm), ..config.clone() };
        assert_eq!(AdapterConfig::from_json(&masked.to_json("BertForMaskedLM")).unwrap(), masked);
        assert_eq!(config.scale("bert.encoder.layer.0.attention.self.query", 4), 1.5);
        assert_eq!(config.scale("bert.encoder.layer.10.attention.self.query", 4), 6.0);
        let whole = [(r"^bert\.encoder\.layer\.0\.output\.dense$".to_owned(), 8.0)].into();
        let whole = AdapterConfig { alpha_pattern: whole, rslora: false, ..config };
        assert_eq!(whole.scale("bert.encoder.layer.0.output.dense", 4), 2.0);
        assert_eq!(whole.scale("x.bert.encoder.layer.0.output.dense", 4), 3.0);
    }

    #[test]
    fn what_would_change_results_is_refused_by_name() {
        for (key, value) in [
            ("peft_type", json!("IA3")),
            ("use_dora", json!(true)),
            ("bias", json!("all")),
            ("lora_bias", json!(true)),
            ("layer_replication", json!([[0, 2]])),
            ("trainable_token_indices", json!([1])),
            ("init_lora_weights", json!("pissa_niter_16")),
            ("alpha_pattern", json!({"layer.[01].*": 2})),
        ] {
            let text = json!({"peft_type": "LORA", "use_qalora": false, "arrow_config": null, key: value});
            let error = AdapterConfig::from_json(&text.to_string()).unwrap_err();
            assert!(error.to_string().starts_with(key), "{error}");
        }
        for text in ["", "[]", r#"{"peft_type": "LORA", "r": "many"}"#] {
            assert!(matches!(AdapterConfig::from_json(text), Err(AdapterError::Json(_))), "{text}");
        }
    }
}
