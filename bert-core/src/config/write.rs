//! [`ModelConfig`] -> `config.json`, in the words that transformers reads.

use serde_json::{Map, Value, json};

use super::keys::activation_word;
use super::{ModelConfig, PROBLEM_TYPES};

impl ModelConfig {
    /// The text of a `config.json` that [`from_json`](Self::from_json) reads as this configuration.
    ///
    /// ```
    /// use bert_core::ModelConfig;
    /// let config = ModelConfig::from_json(r#"{"hidden_size": 384, "num_hidden_layers": 6}"#)?;
    /// assert_eq!(ModelConfig::from_json(&config.to_json())?, config);
    /// # Ok::<(), bert_core::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        let (word, family) = self.model_type.family();
        let labels = |pair: fn((usize, &String)) -> (String, Value)| -> Map<String, Value> {
            self.labels.iter().enumerate().map(pair).collect()
        };
        let mut keys = json!({
            "architectures": self.architectures,
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "intermediate_size": self.intermediate_size,
            "hidden_act": activation_word(self.hidden_act),
            "max_position_embeddings": self.max_position_embeddings,
            "layer_norm_eps": self.layer_norm_eps,
            "initializer_range": self.initializer_range,
            "hidden_dropout_prob": self.hidden_dropout_prob,
            "attention_probs_dropout_prob": self.attention_probs_dropout_prob,
            "tie_word_embeddings": self.tie_word_embeddings,
            "id2label": labels(|(index, label)| (index.to_string(), label.clone().into())),
            "label2id": labels(|(index, label)| (label.clone(), index.into())),
        });
        let map = keys.as_object_mut().expect("made as an object");
        if self.type_vocab_size > 0 {
            map.insert("type_vocab_size".into(), self.type_vocab_size.into());
        }
        if self.labels.is_empty() {
            map.insert("num_labels".into(), 0.into());
        }
        if let Some(dropout) = self.classifier_dropout {
            map.insert("classifier_dropout".into(), dropout.into());
        }
        if let Some((word, _)) = PROBLEM_TYPES.iter().find(|(_, known)| Some(*known) == self.problem_type) {
            map.insert("problem_type".into(), (*word).into());
        }
        map.extend((family.write)(self).into_iter().map(|(key, value)| (key.to_owned(), value)));
        let own = |key: String| {
            family
                .own_keys
                .iter()
                .find(|(common, _)| *common == key)
                .map_or(key, |(_, own)| (*own).to_owned())
        };
        let mut written: Map<String, Value> =
            std::mem::take(map).into_iter().map(|(key, value)| (own(key), value)).collect();
        written.insert("model_type".into(), word.into());
        serde_json::to_string_pretty(&written).expect("texts and numbers") + "\n"
    }
}
