//! The one error type of this crate: what was asked, what was found, what to do.
//!
//! A message does not repeat its cause; print the chain of [`source`](std::error::Error::source)s.

use std::path::PathBuf;

use bert_core::checkpoint::CheckpointError;

use crate::data::DataError;
use crate::pretraining::PretrainingError;
use crate::tokenizer::TokenizerError;

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between a text and an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model: its configuration, its parameters, or the device that runs it.
    #[error(transparent)]
    Core(#[from] bert_core::Error),

    /// The model files.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),

    /// The tokenizer files, or a text that cannot be tokenised.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),

    /// A request in JSON.
    #[error(transparent)]
    Request(#[from] crate::any::RequestError),

    /// A file of labelled or raw text.
    #[error(transparent)]
    Data(#[from] DataError),

    /// Raw text on its way to examples for pre-training.
    #[error(transparent)]
    Pretraining(#[from] PretrainingError),

    /// An evaluation.
    #[error(transparent)]
    Evaluation(#[from] crate::evaluation::EvaluationError),

    /// An explanation.
    #[error(transparent)]
    Explain(#[from] crate::explain::ExplainError),

    /// A comparison of groups.
    #[error(transparent)]
    Bias(#[from] crate::bias::BiasError),

    /// The energy of a run.
    #[cfg(not(target_family = "wasm"))]
    #[error(transparent)]
    Energy(#[from] crate::energy::EnergyError),

    /// A training run.
    #[cfg(not(target_family = "wasm"))]
    #[error(transparent)]
    Training(#[from] crate::training::TrainingError),

    /// The model hub.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(#[from] crate::hub::HubError),

    /// A device that cannot be opened: its settings, or a machine that lacks what they ask for.
    #[error("cannot open the device {name}")]
    Backend {
        /// The kind of device, such as `cpu`.
        name: &'static str,
        /// What the backend said: its own structured error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// An unknown kind of device.
    #[error("unknown device {found:?}; the known ones are {known}")]
    UnknownDevice {
        /// The word.
        found: String,
        /// The known kinds.
        known: String,
    },

    /// A cache of packed weights for a device that cannot use it.
    #[error("the device {device} keeps no packed weights, so a cache for them has no effect")]
    NoPackedCache {
        /// The device.
        device: &'static str,
    },

    /// A device that is not there. Nothing else is used in its place.
    #[error("no device {asked:?}: {reason}")]
    NoDevice {
        /// The device that was asked for.
        asked: String,
        /// Why there is none.
        reason: String,
    },

    /// A request for a [`Batcher`](crate::Batcher) whose queue is full.
    #[error("{capacity} requests are waiting already; try again later, or raise the capacity of the batcher")]
    QueueFull {
        /// How many may wait.
        capacity: usize,
    },

    /// A request for a [`Batcher`](crate::Batcher) that was shut down, or whose thread ended.
    #[error("the batcher has stopped and takes no more requests")]
    BatcherEnded,

    /// The batch that a request was part of could not be computed.
    #[error("the batch with this request failed")]
    BatchFailed {
        /// Why; shared by all requests of the batch.
        source: std::sync::Arc<Error>,
    },

    /// The batch that a request was part of panicked: a bug in the task or the backend.
    #[error("computing the batch with this request panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },

    /// A thread that the system could not start.
    #[error("cannot start a thread; stop other programs, or raise the limit on threads")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },

    /// A blocking method, where the device answers later and nobody can wait: in a browser.
    #[cfg(target_family = "wasm")]
    #[error("a browser cannot wait for this device; use the method whose name ends in _async")]
    Blocking,

    /// A model name that is neither a folder nor an id that can be looked up.
    #[error("no model {asked:?}: {reason}")]
    NoModel {
        /// The name.
        asked: String,
        /// Why there is no such model, and what to do.
        reason: String,
    },

    /// A file of a model folder, or a data set, that cannot be read.
    #[error("cannot read {}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A JSON file that does not hold what it should.
    #[error("{file} is not valid")]
    Json {
        /// The file; its name alone if it is in the model folder.
        file: String,
        /// Where it is wrong.
        source: serde_json::Error,
    },

    /// A tokenizer without a mask token, where one is needed.
    #[error("this model's tokenizer has no mask token; a masked language model is needed")]
    NoMaskToken,

    /// A text without a token to fill in.
    #[error("the text has no {mask} for the model to fill in")]
    NoMask {
        /// How this model writes it, such as `[MASK]`.
        mask: String,
    },

    /// A token to fill in that lies beyond what the model sees of the text.
    #[error(
        "the {mask} at byte {at} lies beyond the {max_length} tokens that the model sees; shorten the text before it"
    )]
    MaskCutOff {
        /// How this model writes it, such as `[MASK]`.
        mask: String,
        /// Where it stands in the text.
        at: usize,
        /// The longest sequence of the model.
        max_length: usize,
    },

    /// Target words that the vocabulary does not hold as one token.
    #[error("each target must be a single token of the vocabulary; these are not: {}", refused.iter().map(|(word, pieces)| format!("{word:?} ({})", pieces.join(" "))).collect::<Vec<_>>().join(", "))]
    Targets {
        /// Each word with the tokens that it is split into.
        refused: Vec<(String, Vec<String>)>,
    },

    /// A text to be summarised that holds none.
    #[error("the text has no sentence: it is empty, or nothing but blanks")]
    NoSentence,

    /// A layer that the model does not have.
    #[error("no layer {layer}; this model has layers 0 (the embeddings) to {count}, or -1 (the last) to -{}", count + 1)]
    Layer {
        /// The layer that was asked for.
        layer: i64,
        /// How many layers there are above the embeddings.
        count: i64,
    },

    /// A stage of a sentence-transformers model that this crate does not have.
    #[error(
        "this sentence-transformers model needs {class} (at {path:?} in modules.json), which is not supported; without it the vectors would be wrong"
    )]
    Module {
        /// The stage.
        class: String,
        /// Its folder in the model.
        path: String,
    },

    /// A label that the model does not have.
    #[error("this model has no label {found:?}; it has {}", known.join(", "))]
    UnknownLabel {
        /// The label.
        found: String,
        /// The labels of the model.
        known: Vec<String>,
    },

    /// A model that gives infinite values or NaN where an answer needs finite numbers.
    #[error(
        "the {output} of the model are not all finite; its parameters are damaged, or overflow in this precision"
    )]
    NotFinite {
        /// Which of its numbers, such as `label scores`.
        output: &'static str,
    },

    /// A setting of a task with a value that makes no sense.
    #[error("{setting} is {found}; it must be {expected}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What would have been right.
        expected: &'static str,
    },
}

impl Error {
    /// Whether the model was made for another task than the one that it was loaded for.
    pub fn is_wrong_head(&self) -> bool {
        matches!(self, Self::Core(bert_core::Error::WrongHead { .. }))
    }
}
