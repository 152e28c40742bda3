//! Similarity: how alike two texts are, by the angle between their [vectors](crate::embedding).
//!
//! [`Similarity`] is the task. Many pairs at once:
//!
//! ```
//! use bert_tasks::next_sentence::TextPair;
//! use bert_tasks::{Device, Similarity, Task};
//! let model = "path/to/all-MiniLM-L6-v2";
//! # let model = bert_conformance::checkpoint("bert-embedding");
//! # let model = model.to_str().unwrap();
//! let similarity = Similarity::load(model, &Device::auto()?)?;
//! let pairs = ["a good movie", "a cat"].map(|second| TextPair { first: "a good day".into(), second: second.into() });
//! let answers = similarity.predict_all(pairs)?;
//! assert_eq!(answers.len(), 2);
//! # Ok::<(), bert_tasks::Error>(())
//! ```

use std::ops::Range;

use bert_core::contract::Precision;
use bert_core::graph::Output;
use serde::{Deserialize, Serialize};

use crate::embedding::{EmbeddingOptions, cosine};
use crate::next_sentence::TextPair;
use crate::{Device, Embedding, Prepared, Pretrained, Result, Rows, Session, Task};

/// How alike two texts are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimilarityAnswer {
    /// The cosine of the angle between their vectors: 1 for the same direction, 0 for nothing in common.
    pub cosine: f32,
    /// For each text, the bytes that the model did not see, if it was too long.
    #[serde(skip)]
    pub truncated: [Option<Range<usize>>; 2],
}

/// An [`Embedding`] that is asked for two texts at a time.
///
/// ```
/// use bert_tasks::{Device, Similarity};
/// let model = "path/to/all-MiniLM-L6-v2";
/// # let model = bert_conformance::checkpoint("bert-embedding");
/// # let model = model.to_str().unwrap();
/// let similarity = Similarity::load(model, &Device::auto()?)?;
/// let same = similarity.predict("a good day", "a good day")?.cosine;
/// assert!((same - 1.0).abs() < 1e-6 && similarity.predict("a good day", "a cat")?.cosine < same);
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Similarity {
    embedding: Embedding,
}

impl Similarity {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// As [`Embedding::load`].
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Ok(Self { embedding: Embedding::load(name, device)? })
    }

    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// As [`Embedding::from_pretrained`].
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> Result<Self> {
        Ok(Self { embedding: Embedding::from_pretrained(files, device, precision)? })
    }

    /// The same model with other options.
    ///
    /// # Errors
    /// As [`Embedding::with_options`].
    pub fn with_options(self, options: EmbeddingOptions) -> Result<Self> {
        Ok(Self { embedding: self.embedding.with_options(options)? })
    }

    /// Compares two texts.
    ///
    /// # Errors
    /// [`Error::NotFinite`](crate::Error::NotFinite) from a damaged model; a device that failed.
    pub fn predict(&self, first: &str, second: &str) -> Result<SimilarityAnswer> {
        self.predict_one(TextPair { first: first.to_owned(), second: second.to_owned() })
    }
}

impl Similarity {
    /// What makes the vectors.
    pub(crate) fn embedding(&self) -> &Embedding {
        &self.embedding
    }
}

impl From<Embedding> for Similarity {
    fn from(embedding: Embedding) -> Self {
        Self { embedding }
    }
}

impl Task for Similarity {
    type Input = TextPair;
    type Context = [Option<Range<usize>>; 2];
    type Piece = Vec<f32>;
    type Answer = SimilarityAnswer;

    fn session(&self) -> &Session {
        self.embedding.session()
    }

    fn outputs(&self) -> Vec<Output> {
        self.embedding.outputs()
    }

    fn prepare(&self, pair: &TextPair) -> Result<Prepared<Self::Context>> {
        let (first, second) = (self.embedding.prepare(&pair.first)?, self.embedding.prepare(&pair.second)?);
        Ok(Prepared {
            sequences: [first.sequences, second.sequences].concat(),
            context: [first.context, second.context],
        })
    }

    fn reduce(&self, context: &Self::Context, index: usize, rows: Rows) -> Result<Vec<f32>> {
        self.embedding.reduce(&context[index], 0, rows)
    }

    fn finish(
        &self,
        _: &TextPair,
        truncated: Self::Context,
        vectors: Vec<Vec<f32>>,
    ) -> Result<SimilarityAnswer> {
        Ok(SimilarityAnswer { cosine: cosine(&vectors[0], &vectors[1]), truncated })
    }
}
