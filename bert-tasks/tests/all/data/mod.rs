//! The readers of data over the optional folder of real data sets, and pre-training examples from its text.

mod pretraining;
mod real_files;
