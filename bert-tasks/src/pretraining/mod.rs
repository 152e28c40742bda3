//! Examples for pre-training: from raw text to masked tokens and pairs of sentences, as BERT was trained.
//!
//! ```
//! use bert_tasks::data::text;
//! use bert_tasks::pretraining::{BuildOptions, ExampleOptions, Examples, Shards, Vocabulary, build_shards};
//! use bert_tasks::tokenizer::Tokenizer;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("text.txt");
//! std::fs::write(&path, "A cat sat. It saw a dog. It ran.\n\nA cow sat. It saw a cat.\n")?;
//! let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\ncat\ncow\ndog\nit\nran\nsat\nsaw\n.\n";
//! let tokenizer = Tokenizer::from_parts(vocab, None)?;
//!
//! // Once: split and tokenise the text, on all threads.
//! let paragraphs = text::paragraphs([&path], &text::Options::default());
//! build_shards(paragraphs, &tokenizer, folder.path().join("shards"), &BuildOptions::default())?;
//!
//! // Then, for every epoch: the same text in another order, with other pairs and other masks.
//! let shards = Shards::open_folder(folder.path().join("shards"), Vocabulary::new(&tokenizer)?)?;
//! let options = ExampleOptions { max_length: 16, ..ExampleOptions::default() };
//! let examples = Examples::new(shards, options)?;
//! for example in examples.epoch(0).examples_from(0) {
//!     let example = example?;
//!     assert!(example.ids.len() <= 16 && !example.masked.is_empty());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * [`build_shards`] splits text into sentences ([`split_sentences`]) and tokenises it once, into [`Shard`]s on
//!   disk.
//! * [`Examples`] are made of these when they are asked for: a run of sentences of one document, cut in two,
//!   whose second part is replaced by sentences of a random other document half of the time, with
//!   [`Masking`] that differs from epoch to epoch. The rules are those of `create_pretraining_data.py`; a run
//!   of a single sentence always gets a random second part, as there.
//! * All that is random is drawn from [`bert_core::random::Random`], keyed by seed, epoch and the place of the
//!   example. So examples do not depend on threads, and a run that was stopped goes on with a number.
//! * Memory stays flat: shards are mapped, and an [`Epoch`] keeps 8 bytes a document.

mod build;
mod corpus;
mod error;
mod examples;
mod masking;
mod pairs;
mod shards;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod vocabulary;
mod words;
mod writer;

pub use crate::sentences::split_sentences;
pub use build::{BuildOptions, Built, build_shards};
pub use corpus::Corpus;
pub use error::{PretrainingError, Result};
pub use examples::{Epoch, Example, ExampleOptions, Examples};
pub use masking::Masking;
pub use shards::{Shard, Shards};
pub use vocabulary::Vocabulary;
