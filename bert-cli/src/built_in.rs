//! The models that are part of this command: a base, and an adapter over it for each of some tasks.

use bert_tasks::{EmbeddedAdapter, EmbeddedModel};

/// What of the built-in models serves a command.
#[derive(Clone, Copy)]
pub enum BuiltIn {
    /// Nothing.
    None,
    /// The base.
    Base,
    /// The base with an adapter.
    #[cfg_attr(not(feature = "embedded-model"), allow(dead_code))]
    Adapter(EmbeddedAdapter),
}

impl std::fmt::Debug for BuiltIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Base => "base",
            Self::Adapter(adapter) => adapter.name,
        })
    }
}

/// The base.
#[cfg(feature = "embedded-model")]
pub const MODEL: Option<EmbeddedModel> = Some(EmbeddedModel {
    name: "english-mlm",
    config: include_str!("../models/english-mlm/config.json"),
    vocab: include_str!("../models/english-mlm/vocab.txt"),
    tokenizer_config: include_str!("../models/english-mlm/tokenizer_config.json"),
    weights: include_bytes!("../models/english-mlm/model.safetensors"),
});
#[cfg(not(feature = "embedded-model"))]
pub const MODEL: Option<EmbeddedModel> = None;

macro_rules! adapter {
    ($(#[$doc:meta])* $name:ident = $folder:literal) => {
        $(#[$doc])*
        #[cfg(feature = "embedded-model")]
        pub const $name: BuiltIn = BuiltIn::Adapter(EmbeddedAdapter {
            name: $folder,
            adapter_config: include_str!(concat!("../models/", $folder, "/adapter_config.json")),
            config: include_str!(concat!("../models/", $folder, "/config.json")),
            weights: include_bytes!(concat!("../models/", $folder, "/adapter_model.safetensors")),
        });
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
    /// Persons, places, organisations and other names.
    ENTITIES = "english-entities"
}

/// The tasks that need no model of the user's, by the names of their commands, each with what answers it.
pub const TASKS: [(&str, BuiltIn); 4] = [
    ("fill-mask", BuiltIn::Base),
    ("features", BuiltIn::Base),
    ("sentiment", SENTIMENT),
    ("entities", ENTITIES),
];
