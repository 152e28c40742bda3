//! A loaded model and its tokenizer, on which every task is built.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use bert_core::contract::BackendInfo;
use bert_core::graph::{Encoder, Output};
use bert_core::tensor::HostTensor;
use bert_core::{ModelConfig, PackedBatch};

use crate::fit::{Fitted, fit};
use crate::tokenizer::{Encoded, Tokenizer};
use crate::wait::wait;
use crate::{Error, Result};

/// A model on a device, with its tokenizer. Cloning shares both; calls from many threads are safe.
///
/// Every task is built on a session, and a session can be used without a task:
///
/// ```
/// use bert_tasks::bert_core::{PackedBatch, contract::Pooling, graph::Output};
/// use bert_tasks::{Device, Head, Precision, Pretrained};
/// let model = "path/to/bert-base-uncased";
/// # let model = bert_conformance::checkpoint("bert-embedding");
/// # let model = model.to_str().unwrap();
/// let session = Pretrained::open(model)?.load(Head::None, &Device::auto()?, Precision::F32)?;
/// let mut batch = PackedBatch::default();
/// for text in ["a good movie", "not bad"] {
///     let tokens = session.fit(session.tokenizer().encode(text)?).encoded;
///     batch.push(&tokens.ids, &tokens.segments);
/// }
/// let pooled = session.run(&batch, &[Output::Pooled(Pooling::Mean)])?;
/// assert_eq!(pooled[0].shape()[..], [2, session.config().hidden_size]);
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone)]
pub struct Session {
    encoder: Arc<dyn Encoder>,
    tokenizer: Tokenizer,
    max_length: usize,
    token_budget: usize,
    /// Where the host computes.
    compute_threads: Option<usize>,
}

impl Session {
    /// A session on a loaded model.
    pub fn new(encoder: Arc<dyn Encoder>, tokenizer: Tokenizer) -> Self {
        let positions = encoder.config().max_tokens();
        let max_length = tokenizer.max_length().map_or(positions, |length| length.min(positions));
        let compute_threads = encoder.backend_info().threads;
        Self { encoder, tokenizer, max_length, token_budget: 2048, compute_threads }
    }

    /// The same session with sequences of at most `length` tokens (and never more than the model has
    /// positions for).
    pub fn with_max_length(mut self, length: usize) -> Self {
        self.max_length = length.min(self.config().max_tokens());
        self
    }

    /// The same, for a length that a user chose.
    pub(crate) fn with_chosen_length(self, length: usize) -> Result<Self> {
        if length <= self.tokenizer.special_count(false) {
            let expected = "more than the number of special tokens";
            return Err(Error::Setting { setting: "max_length", found: length.to_string(), expected });
        }
        Ok(self.with_max_length(length))
    }

    /// The same session with batches of at most `tokens` tokens. A larger budget takes memory and gains little.
    pub fn with_token_budget(mut self, tokens: usize) -> Self {
        self.token_budget = tokens.max(1);
        self
    }

    /// The shape of the model and the meaning of its outputs.
    pub fn config(&self) -> &ModelConfig {
        self.encoder.config()
    }

    /// What it runs on.
    pub fn backend_info(&self) -> BackendInfo {
        self.encoder.backend_info()
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The longest sequence, special tokens included.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// How many tokens a batch holds at most.
    pub fn token_budget(&self) -> usize {
        self.token_budget
    }

    /// How many threads the host may use for tokenisation: those that compute, or all where the device has
    /// its own.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "a browser has one thread"))]
    pub(crate) fn host_threads(&self) -> usize {
        self.compute_threads.unwrap_or_else(|| available_parallelism().map_or(1, NonZeroUsize::get))
    }

    /// Whether one thread does everything, so that no other thread may run beside it.
    pub(crate) fn is_single_threaded(&self) -> bool {
        self.compute_threads == Some(1)
    }

    /// Cuts tokens to [`max_length`](Self::max_length), and reports what was cut off.
    pub fn fit(&self, encoded: Encoded) -> Fitted {
        fit(encoded, self.max_length)
    }

    /// Runs one batch, and waits for it. See [`Encoder::run`].
    ///
    /// # Errors
    /// As [`Encoder::run`].
    pub fn run(&self, batch: &PackedBatch, outputs: &[Output]) -> Result<Vec<HostTensor>> {
        wait(self.run_async(batch, outputs))
    }

    /// Runs one batch. See [`Encoder::run`].
    ///
    /// # Errors
    /// As [`Encoder::run`].
    pub async fn run_async(&self, batch: &PackedBatch, outputs: &[Output]) -> Result<Vec<HostTensor>> {
        Ok(self.encoder.run(batch, outputs).await?)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("config", self.config())
            .field("backend", &self.backend_info())
            .finish()
    }
}
