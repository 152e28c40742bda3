//! The models that are part of this command: a base, and an adapter over it for each of some tasks.

use std::fmt;

use bert_tasks::{EmbeddedAdapter, EmbeddedModel, Pretrained};
use serde::Serialize;

use crate::style::bytes;

/// What of the built-in models serves a command.
#[derive(Clone, Copy)]
pub enum BuiltIn {
    /// Nothing.
    None,
    /// The base.
    Base,
    /// The base with an adapter.
    #[cfg_attr(not(feature = "embedded-model"), allow(dead_code))]
    Adapter(&'static EmbeddedAdapter),
}

impl fmt::Debug for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Base => "base",
            Self::Adapter(adapter) => adapter.name,
        })
    }
}

/// The base. A static, as the adapters are: of a constant, the command would hold a copy for each use.
#[cfg(feature = "embedded-model")]
pub static MODEL: Option<EmbeddedModel> = Some(EmbeddedModel {
    name: "english-mlm",
    config: include_str!("../models/english-mlm/config.json"),
    vocab: include_str!("../models/english-mlm/vocab.txt"),
    tokenizer_config: include_str!("../models/english-mlm/tokenizer_config.json"),
    weights: include_bytes!("../models/english-mlm/model.safetensors"),
});
#[cfg(not(feature = "embedded-model"))]
pub static MODEL: Option<EmbeddedModel> = None;

macro_rules! adapter {
    ($(#[$doc:meta])* $name:ident = $folder:literal) => {
        $(#[$doc])*
        #[cfg(feature = "embedded-model")]
        pub const $name: BuiltIn = {
            static ADAPTER: EmbeddedAdapter = EmbeddedAdapter {
                name: $folder,
                adapter_config: include_str!(concat!("../models/", $folder, "/adapter_config.json")),
                config: include_str!(concat!("../models/", $folder, "/config.json")),
                weights: include_bytes!(concat!("../models/", $folder, "/adapter_model.safetensors")),
            };
            BuiltIn::Adapter(&ADAPTER)
        };
        $(#[$doc])*
        #[cfg(not(feature = "embedded-model"))]
        pub const $name: BuiltIn = BuiltIn::None;
    };
}

adapter! {
    /// Whether a review is positive or negative.
    SENTIMENT = "english-sentiment"
}
adapter! {
    /// Vectors that are near for texts of like meaning.
    SIMILARITY = "english-similarity"
}
adapter! {
    /// Persons, places, organisations and other names.
    ENTITIES = "english-entities"
}

/// The tasks that need no model of the user's, by the names of their commands, each with what answers it.
const TASKS: [(&str, BuiltIn); 11] = [
    ("fill-mask", BuiltIn::Base),
    ("next-sentence", BuiltIn::Base),
    ("features", BuiltIn::Base),
    ("complete", BuiltIn::Base),
    ("generate", BuiltIn::Base),
    ("bias", BuiltIn::Base),
    ("embed", SIMILARITY),
    ("similarity", SIMILARITY),
    ("summarize", SIMILARITY),
    ("sentiment", SENTIMENT),
    ("entities", ENTITIES),
];

/// A task that is answered without a model of the user's.
#[derive(Serialize)]
pub struct BuiltInTask {
    /// The command.
    task: &'static str,
    base: &'static str,
    /// What is put over the base; null for the base alone.
    adapter: Option<&'static str>,
    labels: Vec<String>,
    /// Bytes of the file with the weights of the adapter; of the base where it answers alone.
    size: usize,
}

impl BuiltInTask {
    /// All of them; `files` are those of the base.
    ///
    /// # Errors
    /// An adapter that does not fit the base.
    pub fn all(base: &EmbeddedModel, files: &Pretrained) -> bert_tasks::Result<Vec<Self>> {
        let mut tasks = vec![];
        for (task, built_in) in TASKS {
            let (adapter, labels, size) = match built_in {
                BuiltIn::None => continue,
                BuiltIn::Base => (None, vec![], base.weights.len()),
                BuiltIn::Adapter(adapter) => {
                    let mut labels = files.with_embedded_adapter(adapter)?.config().labels.clone();
                    // What a configuration without labels has.
                    labels.retain(|label| !label.starts_with("LABEL_"));
                    (Some(adapter.name), labels, adapter.weights.len())
                }
            };
            tasks.push(Self { task, base: base.name, adapter, labels, size });
        }
        Ok(tasks)
    }
}

impl fmt::Display for BuiltInTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.task, self.base)?;
        if let Some(adapter) = self.adapter {
            write!(f, " with {adapter} ({})", bytes(self.size as u64))?;
        }
        match &self.labels[..] {
            [] => Ok(()),
            labels => write!(f, ": {}", labels.join(", ")),
        }
    }
}
