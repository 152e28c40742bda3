//! The model graph, one definition for every backend. Read it from top to bottom:
//!
//! 1. [`embeddings`]: token ids become the first hidden state;
//! 2. [`layer`]: self-attention and a feed-forward network, each followed by a residual and a LayerNorm;
//! 3. [`encoder`]: the layers, one after another;
//! 4. [`heads`]: what fine-tuning put on top: masked LM, next sentence, classifiers, answer spans;
//! 5. [`model`]: all of it on one backend, behind one call.
//!
//! Sources: "BERT: Pre-training of Deep Bidirectional Transformers" (Devlin et al., 2018), "DistilBERT"
//! (Sanh et al., 2019). Shapes stand beside the lines that make them; `tokens` counts the rows of a
//! packed batch, which has no padding.

pub mod embeddings;
pub mod encoder;
mod head;
pub mod heads;
pub mod layer;
mod loader;
pub mod model;

pub use head::Head;
pub use loader::Loader;
pub use model::{Encoder, Model, Output};
