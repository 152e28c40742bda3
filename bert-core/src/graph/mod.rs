//! The model graph, one definition for every backend. Read it from top to bottom:
//!
//! 1. `embeddings`: token ids become the first hidden state;
//! 2. `layer`: self-attention and a feed-forward network, each with a residual and a LayerNorm (`residual`);
//! 3. `encoder`: the layers, one after another;
//! 4. `heads`: what fine-tuning put on top: masked LM, next sentence, classifiers, answer spans;
//! 5. `model`: all of it on one backend; `run` is its face for a backend that was chosen at run time.
//!
//! Each part says what it consists of (its `…Spec`), and [`parameters`] is the list of all that; whoever loads,
//! initialises or saves a model reads that list.
//!
//! Sources: "BERT: Pre-training of Deep Bidirectional Transformers" (Devlin et al., 2018), "DistilBERT"
//! (Sanh et al., 2019). Shapes stand beside the lines that make them; `tokens` counts the rows of a
//! packed batch, which has no padding.

mod embeddings;
mod encoder;
mod heads;
mod initial;
mod layer;
mod loader;
mod lora;
mod model;
mod output;
mod parameters;
mod pass;
mod residual;
mod run;
mod summary;

use loader::Loader;
use pass::Pass;

pub use heads::Head;
pub use initial::Initial;
pub use loader::ParameterSource;
pub use lora::lora;
pub(crate) use lora::{LORA_A, LORA_B};
pub use model::Model;
pub use output::{Axis, Output};
pub use parameters::{ParameterKind, ParameterSpec, parameters};
pub use run::Encoder;
