//! Training: the one loop behind fine-tuning and pre-training.
//!
//! An [`Objective`] says what the examples are and how good a model is at them; [`Trainer`] does the rest: it packs
//! examples without padding, sums gradients in an order that no thread count changes, clips, steps, writes down what
//! happens, evaluates, and saves a state from which a killed run goes on to equal bits. All of a model trains, or its
//! upper layers, or low-rank adapters beside it ([`LoraOptions`]): what is frozen costs neither gradients nor moments. A model may learn from another one
//! ([`Trainer::with_teacher`]) beside its labels or in place of them.
//!
//! | objective | examples | head |
//! | --- | --- | --- |
//! | [`Classification`] | texts and pairs with labels or numbers | sequence classification |
//! | [`Entities`] | texts with marked entities | token classification |
//! | [`QuestionAnswering`] | questions about texts | question answering |
//! | [`MultipleChoice`] | prompts with choices | multiple choice |
//! | [`NextSentence`] | pairs of which one may follow the other | next sentence |
//! | [`Embeddings`] | pairs, triplets, pairs with scores | none: the pooled hidden states |
//! | [`Pretraining`] | raw text | masked LM, or that and next sentence |
//!
//! ```
//! use bert_tasks::data::classification;
//! use bert_tasks::training::{Classification, TrainOptions, Trainer};
//! use bert_tasks::{Device, Pretrained, TextClassification};
//! # use std::io::Write;
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("train.tsv");
//! # writeln!(std::fs::File::create(&file)?, "text\tlabel\na good movie\tgood\nnot good\tbad\na bad movie\tbad")?;
//! # let base = bert_conformance::checkpoint("bert-embedding");
//! # let base = base.to_str().unwrap();
//! # let out = folder.path().join("model");
//! // let (base, file, out) = ("path/to/bert-base-uncased", "train.tsv", "path/to/a-new-model");
//! let base = Pretrained::open(base)?;
//! let examples = classification::read(&file, &classification::Options::default())?;
//! let task = Classification::new(&base, examples.collect::<Result<_, _>>()?, vec![])?;
//! let options = TrainOptions { epochs: 2, batch_size: 2, ..TrainOptions::default() };
//! Trainer::new(&base, &Device::cpu()?, options).run(&task, &out, |_| ())?;
//!
//! let model = TextClassification::load(out.to_str().unwrap(), &Device::cpu()?)?;
//! assert_eq!(model.predict("a good movie")?.scores.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod card;
mod classification;
pub mod curves;
mod distillation;
mod embeddings;
pub(crate) mod engine;
mod entities;
mod error;
mod every_nth_layer;
mod fingerprint;
mod folder;
mod lock;
mod metrics;
mod multiple_choice;
mod next_sentence;
mod objective;
mod options;
mod plan;
mod pretraining;
mod question_answering;
mod state;
mod target;
mod tensorboard;
mod trainer;
mod vectors;

pub use classification::Classification;
pub use distillation::DistillationOptions;
pub use embeddings::{Embeddings, EmbeddingsOptions};
pub use entities::Entities;
pub use error::TrainingError;
pub use every_nth_layer::EveryNthLayer;
pub use folder::copy_tokenizer;
pub use multiple_choice::MultipleChoice;
pub use next_sentence::NextSentence;
pub use objective::{Evaluation, Objective, Scorer, Vectors};
pub use options::DecayWord;
pub use options::{LoraOptions, TrainOptions};
pub use pretraining::Pretraining;
pub use question_answering::{QuestionAnswering, QuestionCounts};
pub use target::{Target, TrainingExample};
pub use trainer::{Report, Summary, Trainer};
