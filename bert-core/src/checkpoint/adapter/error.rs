//! What can be wrong with an adapter.

use std::io;

/// Why an adapter cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// A file that cannot be read.
    #[error("cannot read {file}")]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },

    /// `adapter_config.json` is no object with the keys that it has to have.
    #[error("adapter_config.json is not valid")]
    Json(#[source] serde_json::Error),

    /// The configuration asks for something that is not supported and would change results.
    #[error("{key} is {found}; {expected}")]
    Unsupported {
        /// The key of `adapter_config.json`.
        key: String,
        /// Its value.
        found: String,
        /// What can be used.
        expected: &'static str,
    },

    /// A tensor that belongs to nothing that the model has.
    #[error("the adapter's tensor {name} matches no layer of the model; is it an adapter of another model?")]
    Stray {
        /// Its name.
        name: String,
    },

    /// Only one of the two matrices is there, or they do not fit each other.
    #[error("lora_A and lora_B of {layer} do not match: one is missing, or their ranks differ")]
    Unpaired {
        /// The layer.
        layer: String,
    },

    /// A name that no layer has.
    #[error("no layer is called {name:?}; the known ones are {}", known.join(", "))]
    NoLayer {
        /// The name.
        name: String,
        /// The names that the layers end with.
        known: Vec<String>,
    },
}
