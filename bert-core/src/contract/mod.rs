//! What a backend must do, and the types that its methods take and give.
//!
//! [`Backend`] is the trait: eight methods, and coarse operations that follow from them; its page has the
//! contract in full. The other items are what its methods take and give:
//! * [`UnaryOp`], [`BinaryOp`], [`ReduceOp`], [`Activation`], [`Pooling`]: which function;
//! * [`AttentionSpec`], [`Precision`]: how attention and linear layers compute;
//! * [`Linear`], [`LayerNorm`], [`EmbeddingTables`]: parameters on a device; [`DeviceBatch`]: inputs;
//! * [`PackedCache`]: where packed weights are kept from one start to the next;
//! * [`BackendInfo`], [`Counts`]: what it runs on, and counts of its work.

mod backend;
mod batch;
mod info;
mod ops;
mod packed_cache;
mod prepare;
mod problem;
mod threads;
mod weights;

pub use backend::{Backend, MASKED, Tensor, default_attention, upload_f32};
pub use batch::DeviceBatch;
pub use info::{BackendInfo, Counts};
pub use ops::{Activation, AttentionSpec, BinaryOp, Dropout, Pooling, Precision, ReduceOp, UnaryOp};
pub use packed_cache::PackedCache;
pub use problem::{CacheProblem, Damage};
pub use threads::{MaybeSend, MaybeSync};
pub use weights::{EmbeddingTables, LayerNorm, Linear, WeightSource};
