//! Training: gradients on any backend, with the model graph as it is.
//!
//! [`Autodiff<B>`](Autodiff) is a backend around a backend. It computes every word of the graph on `B`, writes down
//! on a tape what it computed, and walks the tape backwards to give the gradient of each parameter. The tape knows
//! words, not primitives: some ten kinds of entries, each with its forward and its backward in one file.
//!
//! * [`TrainBackend`] is what a backend can do to be fast: every method has a default body in terms of the words of
//!   [`Backend`](crate::Backend), so training runs on every backend at once.
//! * [`Trainable`] is a model whose parameters are masters that an optimiser moves: all of them, some of them, each at
//!   a rate of its own, or low-rank adapters ([`Lora`]) beside them.
//! * [`loss`] are the losses: their value, and the gradient of what a head gave.
//! * [`AdamW`], [`Schedule`] and [`clip`] make steps of gradients.

mod adapter;
mod autodiff;
mod backward;
mod gradients;
pub mod loss;
mod optimiser;
mod parameter;
mod parts;
mod schedule;
mod tape;
mod trainable;

pub use adapter::Lora;
pub use autodiff::Autodiff;
pub use backward::{NormGradients, TrainBackend, default_attention_backward};
pub use gradients::Gradients;
pub use optimiser::{AdamStep, AdamW, clip};
pub use parameter::{Node, Parameter};
pub use schedule::{Decay, Schedule};
pub use trainable::Trainable;
