//! One file a kind of evaluation: which examples it takes, what is asked of the model, what is right.
//!
//! Each gives an [`Outcome`](super::Outcome), and shows every example with its answer to a closure on the way, which
//! may count them, keep those that are wrong, or stop it all by an error.

pub mod classification;
pub mod entities;
pub mod glue;
pub mod language_model;
pub mod multiple_choice;
pub mod next_sentence;
pub mod retrieval;
pub mod similarity;
pub mod squad;
pub mod summary;
