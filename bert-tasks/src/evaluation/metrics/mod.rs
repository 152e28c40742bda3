//! Figures of answers, each as its reference implementation has it. None of this needs a model.
//!
//! | module | figures | reference |
//! | --- | --- | --- |
//! | [`classification`] | accuracy, precision, recall, F1, Matthews' correlation | scikit-learn |
//! | [`correlation`] | Pearson, Spearman | SciPy |
//! | [`squad`] | exact match and F1, with and without answers, best thresholds | `evaluate-v1.1.py`, `evaluate-v2.0.py` |
//! | [`entities`] | precision, recall and F1 of entities, lenient and strict | `conlleval`, seqeval |
//! | [`ranking`] | accuracy, MRR, NDCG, average precision of search results | scikit-learn, sentence-transformers |
//! | [`language_model`] | ranks and losses of masked words | — |
//! | [`rouge`] | ROUGE-1, ROUGE-2, ROUGE-L | `rouge_score` |
//!
//! A figure that is not defined, such as the correlation with something that never varies, is `None` or NaN where
//! the reference says so, and 0 where it says that.

pub mod classification;
pub mod correlation;
mod counts;
pub mod entities;
pub mod language_model;
pub mod ranking;
pub mod rouge;
pub mod squad;

pub use counts::Counts;
