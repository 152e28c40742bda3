//! The backward halves of the kernels, and what else a step of training needs.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod loss;
pub(crate) mod norm;
pub(crate) mod optimiser;
