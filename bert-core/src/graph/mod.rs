//! The model graph, one definition for every backend.

mod head;

pub use head::Head;
