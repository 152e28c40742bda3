//! The classic BERT tasks: fill-mask, next sentence, question answering, entities, sentiment, embeddings.
//!
//! A task is loaded by the name of a model and answers texts:
//!
//! ```
//! use bert_tasks::{Device, FillMask};
//! let model = "path/to/bert-base-uncased";
//! # let model = bert_conformance::checkpoint("bert-masked-lm");
//! # let model = model.to_str().unwrap();
//! let fill_mask = FillMask::load(model, &Device::auto()?)?;
//! println!("{:?}", fill_mask.predict("The capital of France is [MASK].")?);
//! # Ok::<(), bert_tasks::Error>(())
//! ```
//!
//! * [`Device`] is where a model runs, [`Pretrained`] is where it comes from, [`Session`] is a model on a device;
//! * each task has a module; [`Task`] is what they share: any number of inputs, answered in order, in batches
//!   limited by their tokens; a [`stream`] pulls inputs, a [`Batcher`] takes them from any number of callers;
//! * [`AnyTask`] is any task, with requests in JSON; [`records`] are its answers;
//! * [`bias`] says what a model expects of one group and not of another;
//! * [`generation`] has a masked language model write: next words, or some sentences;
//! * [`summary`] picks the sentences that say what a text is about;
//! * [`data`] reads labelled and raw text, [`pretraining`] makes examples of raw text; neither needs a model;
//! * [`evaluation`] says how good a model is, by the figures that papers report;
//! * [`explain`] says what a model looks at, and which words an answer hangs on;
//! * [`tokenizer`] keeps byte offsets into the caller's text, on char boundaries, always.
//!
//! Features: `cpu` (default) is the backend for CPUs, `wgpu` the one for GPUs, `hub` downloads models by name.
//!
//! Methods wait for their device and need no runtime. What has to wait has an asynchronous twin,
//! [`Device::open_async`], [`Session::run_async`] and [`Task::predict_one_async`], for a browser
//! (`wasm32-unknown-unknown` with feature `wgpu`), where waiting is not possible: there a blocking method that would
//! have to wait is an error.

pub mod any;
#[cfg(not(target_family = "wasm"))] // it needs a thread
pub mod batcher;
pub mod bias;
mod canonical;
pub mod data;
mod device;
pub mod embedding;
#[cfg(not(target_family = "wasm"))] // it needs a clock, files and a thread
pub mod energy;
mod error;
pub mod evaluation;
mod existing;
pub mod explain;
pub mod features;
pub mod fill_mask;
mod fit;
pub mod generation;
#[cfg(feature = "hub")]
pub mod hub;
mod markup;
mod masked_rows;
pub mod multiple_choice;
pub mod next_sentence;
mod order;
mod pretrained;
pub mod pretraining;
pub mod question_answering;
pub mod records;
mod request;
mod scores;
mod sentences;
mod session;
pub mod similarity;
pub mod sparse_embedding;
pub mod stream;
pub mod summary;
mod task;
pub mod text_classification;
pub mod token_classification;
pub mod tokenizer;
#[cfg(not(target_family = "wasm"))] // it needs a clock, files and blocking
pub mod training;
mod wait;

pub use any::AnyTask;
#[cfg(not(target_family = "wasm"))]
pub use batcher::Batcher;
/// The crate below, whose types appear in the types of this one.
pub use bert_core;
/// The files of models: what is in them, and how they are written.
pub use bert_core::checkpoint;
pub use bert_core::config::ProblemType;
pub use bert_core::contract::{Activation, BackendInfo, CacheProblem, PackedCache, Pooling, Precision};
pub use bert_core::graph::{Initial, ParameterSource, parameters};
pub use bert_core::observe::passes::PassLog;
pub use bert_core::{Head, ModelConfig};
pub use bias::Bias;
pub use device::{Device, DeviceOptions};
pub use embedding::Embedding;
pub use error::{Error, Result};
pub use features::Features;
pub use fill_mask::FillMask;
pub use fit::Fitted;
pub use generation::Generation;
pub use multiple_choice::MultipleChoice;
pub use next_sentence::NextSentence;
pub use pretrained::{EmbeddedAdapter, EmbeddedModel, MemoryModel, ModelSource, Pretrained};
pub use question_answering::QuestionAnswering;
pub use request::Request;
pub use session::Session;
pub use similarity::Similarity;
pub use sparse_embedding::SparseEmbedding;
pub use stream::Stream;
pub use summary::Summarizer;
pub use task::{Prepared, Rows, Sequence, Task};
pub use text_classification::TextClassification;
pub use token_classification::TokenClassification;

/// The examples of README.md are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
