//! Explanations: what a model looks at, which words an answer hangs on, and what a word means where it stands.
//!
//! * [`Attention`]: how much each token looks at each other one, in any layer and head;
//! * [`Subject`] is one score of a task, such as the probability of a label. [`Occlusion`] says how it changes without
//!   each word, [`IntegratedGradients`] how much of it each word brought about, and [`Faithfulness`] whether the score
//!   falls when the words that were named go;
//! * [`Senses`]: the places of a word in many texts, grouped by meaning; [`Polysemy`]: how alike a few of them are.
//!
//! Each gives plain data that serialises, and a page: one HTML file that needs no network.
//!
//! ```
//! use bert_tasks::explain::{Occlusion, Subject};
//! use bert_tasks::{Device, TextClassification};
//! let model = "path/to/a-sentiment-model";
//! # let model = bert_conformance::checkpoint("bert-sequence-classification");
//! # let model = model.to_str().unwrap();
//! let classifier = TextClassification::load(model, &Device::auto()?)?;
//! let subject = Subject::label(&classifier, "A gorgeous, witty film.", None)?;
//! let explanation = Occlusion::default().explain(&subject)?;
//! for word in &explanation.words {
//!     println!("{:+.3} {}", word.score, word.word);
//! }
//! # Ok::<(), bert_tasks::Error>(())
//! ```
//!
//! Attention is not by itself an explanation of an answer: other weights often give the same answer (Jain and Wallace,
//! 2019; Wiegreffe and Pinter, 2019). Occlusion and integrated gradients are measured by what they claim, with
//! [`Faithfulness`].

mod attention;
mod clusters;
mod error;
mod explanation;
mod faithfulness;
#[cfg(not(target_family = "wasm"))] // it needs a model in training
mod integrated_gradients;
mod occlusion;
mod occurrences;
mod page;
mod places;
mod plane;
mod polysemy;
mod reading;
mod senses;
mod subject;
mod svg;
mod targets;

pub use attention::{
    Attention, AttentionOptions, AttentionToken, HeadAttention, LayerAttention, Link, TextAttention,
};
pub use error::ExplainError;
pub use explanation::{Explanation, Method, WordScore};
pub use faithfulness::{Faithfulness, Measured};
#[cfg(not(target_family = "wasm"))]
pub use integrated_gradients::IntegratedGradients;
pub use occlusion::Occlusion;
pub use occurrences::occurrences;
pub use polysemy::{Polysemy, PolysemyOptions, WordInTexts, WordUse, WordUses};
pub use senses::{Context, Group, Occurrence, Senses, SensesOptions, WordSenses};
pub use subject::{Subject, Word};
