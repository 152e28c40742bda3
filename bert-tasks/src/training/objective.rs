//! What is trained.

use std::collections::BTreeMap;

use bert_core::contract::{Pooling, Precision};
use bert_core::graph::{Head, Output};
use bert_core::{ModelConfig, PackedBatch};
use ndarray::{Array2, Ix2, s};
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::target::TrainingExample;
use crate::{Result, Rows, Sequence};

/// A set of examples, and how good a model is at them.
pub trait Objective {
    /// The head that is trained.
    fn head(&self) -> Head;

    /// The configuration of the model that comes out, given that of the model to begin with: its labels, its class.
    fn configure(&self, base: &ModelConfig) -> ModelConfig;

    /// How many examples an epoch has.
    fn examples(&self) -> usize;

    /// An example of an epoch. The same numbers give the same example, on every machine and after every restart.
    ///
    /// # Errors
    /// An example that cannot be used.
    fn example(&self, epoch: u64, index: usize, max_length: usize) -> Result<TrainingExample>;

    /// How the vectors of texts are compared, where these are what is trained and not the scores of a head.
    fn vectors(&self) -> Option<Vectors> {
        None
    }

    /// Further files of the model that comes out, by their names in its folder.
    fn files(&self) -> &[(String, String)] {
        &[]
    }

    /// How good the model is now; `None` if there is nothing to evaluate on.
    ///
    /// # Errors
    /// A device that failed.
    fn evaluate(&self, model: &Scorer<'_>) -> Result<Option<Evaluation>>;
}

/// How the vectors of texts are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vectors {
    /// How hidden states become the vector of a text.
    pub pooling: Pooling,
    /// What cosines are multiplied by before they are compared with one another: 20, as a rule.
    pub scale: f64,
}

/// How good a model is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What is measured: `accuracy`.
    pub metric: String,
    /// Its value; larger is better.
    pub value: f64,
    /// How many examples it was measured on.
    pub examples: usize,
    /// Further figures, which do not count when models are compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, f64>,
}

impl Evaluation {
    /// An evaluation with one figure.
    pub fn new(metric: &str, value: f64, examples: usize) -> Self {
        Self { metric: metric.to_owned(), value, examples, details: BTreeMap::new() }
    }

    /// The same with a further figure.
    #[must_use]
    pub fn with_detail(mut self, name: &str, value: f64) -> Self {
        self.details.insert(name.to_owned(), value);
        self
    }
}

/// A model in the midst of its training, to be evaluated.
pub struct Scorer<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) token_budget: usize,
    pub(super) max_length: usize,
}

impl Scorer<'_> {
    /// The longest sequence that the model is to see.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// What linear layers compute in.
    pub fn precision(&self) -> Precision {
        super::options::TrainOptions::PRECISION
    }

    /// The rows of outputs for each sequence, in order. Sequences are packed in batches of `token_budget`.
    ///
    /// # Errors
    /// A device that failed.
    pub fn score(&self, sequences: &[Sequence], outputs: &[Output]) -> Result<Vec<Rows>> {
        let mut scored = vec![];
        let mut rest = sequences;
        while !rest.is_empty() {
            let mut batch = PackedBatch::default();
            let mut count = 0;
            while let Some(Sequence { ids, segments, masked }) = rest.get(count)
                && (count == 0 || batch.tokens() + ids.len() <= self.token_budget)
            {
                batch.push_marked(ids, segments, masked);
                count += 1;
            }
            rest = &rest[count..];
            let results = self.engine.run(&batch, outputs)?;
            for sequence in 0..count {
                let rows = outputs.iter().zip(&results).map(|(output, result)| -> Result<Array2<f32>> {
                    let numbers = result.to_f32()?;
                    let matrix = numbers.view().into_dimensionality::<Ix2>().expect("outputs are matrices");
                    Ok(matrix.slice(s![output.axis().rows(&batch, sequence), ..]).to_owned())
                });
                scored.push(rows.collect::<Result<_>>()?);
            }
        }
        Ok(scored)
    }
}
