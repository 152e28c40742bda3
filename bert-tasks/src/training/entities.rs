//! Entities as an objective: a label for every token.

use bert_core::ModelConfig;
use bert_core::graph::{Head, Output};

use super::target::{Target, TrainingExample};
use super::{Evaluation, Objective, Scorer, TrainingError};
use crate::data::entities::{Example, TagSet};
use crate::evaluation::metrics::entities;
use crate::fit::fit;
use crate::token_classification::{Scheme, Span};
use crate::tokenizer::Tokenizer;
use crate::{Pretrained, Result, Sequence};

/// Texts with entities to train on, and some to evaluate on.
///
/// All tokens of an entity are labelled, those inside words too; special tokens are not.
pub struct Entities {
    tokenizer: Tokenizer,
    tags: TagSet,
    train: Vec<Example>,
    eval: Vec<Example>,
}

/// A text as tokens with labels.
struct Labelled {
    sequence: Sequence,
    labels: Vec<Option<u32>>,
    truncated: bool,
}

impl Entities {
    /// The labels are those of the types in the examples to train on, in IOB2 or BIOES.
    ///
    /// # Errors
    /// [`TrainingError::NoExamples`], also for examples without any entity; entities that overlap; a type to evaluate on
    /// that training has not seen.
    pub fn new(base: &Pretrained, train: Vec<Example>, eval: Vec<Example>, scheme: Scheme) -> Result<Self> {
        let types = || train.iter().flat_map(|example| &example.entities).map(|entity| entity.label.clone());
        if types().next().is_none() {
            return Err(TrainingError::NoExamples.into());
        }
        let tags = TagSet::new(types(), scheme)?;
        let task = Self { tokenizer: base.tokenizer().clone(), tags, train, eval };
        // What is wrong is told before the first step.
        for example in task.train.iter().chain(&task.eval) {
            task.label(example, usize::MAX)?;
        }
        Ok(task)
    }

    fn label(&self, example: &Example, max_length: usize) -> Result<Labelled> {
        let fitted = fit(self.tokenizer.encode(&example.text)?, max_length);
        let encoded = fitted.encoded;
        let ranges: Vec<_> = (0..encoded.len()).map(|token| encoded.range(token)).collect();
        let units: Vec<_> = ranges.iter().flatten().cloned().collect();
        let mut tags = self.tags.encode(&units, &example.spans())?.labels.into_iter();
        let label =
            |range: &Option<_>| range.as_ref().map(|_| tags.next().expect("a label for each unit") as u32);
        let labels = ranges.iter().map(label).collect();
        Ok(Labelled { labels, truncated: fitted.truncated[0].is_some(), sequence: encoded.into() })
    }

    /// The entities that labels of tokens make.
    fn spans<'a>(&'a self, labels: impl Iterator<Item = u32> + 'a) -> Vec<Span<'a>> {
        self.tags.scheme().spans(labels.map(|label| self.tags.labels().names()[label as usize].as_str()))
    }
}

impl Objective for Entities {
    fn head(&self) -> Head {
        Head::TokenClassification
    }

    fn configure(&self, base: &ModelConfig) -> ModelConfig {
        ModelConfig { labels: self.tags.labels().names().to_vec(), problem_type: None, ..base.clone() }
    }

    fn examples(&self) -> usize {
        self.train.len()
    }

    fn example(&self, _: u64, index: usize, max_length: usize) -> Result<TrainingExample> {
        let Labelled { sequence, labels, truncated } = self.label(&self.train[index], max_length)?;
        Ok(TrainingExample { sequences: vec![sequence], target: Target::Tokens(labels), truncated })
    }

    /// The F1 of entities whose tokens and types are all right.
    fn evaluate(&self, model: &Scorer<'_>) -> Result<Option<Evaluation>> {
        if self.eval.is_empty() {
            return Ok(None);
        }
        let gold = self.eval.iter().map(|example| self.label(example, model.max_length()));
        let gold = gold.collect::<Result<Vec<_>>>()?;
        let sequences: Vec<_> = gold.iter().map(|gold| gold.sequence.clone()).collect();
        let scored = model.score(&sequences, &[Output::Scores(self.head())])?;
        let mut counts = entities::Evaluation::default();
        for (rows, gold) in scored.iter().zip(&gold) {
            let tokens = rows[0].outer_iter().zip(&gold.labels).filter(|(_, label)| label.is_some());
            let best = tokens.map(|(row, _)| {
                (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]).then(b.cmp(&a))).unwrap_or(0) as u32
            });
            let answers = self.spans(best);
            let right = self.spans(gold.labels.iter().flatten().copied());
            counts.add(&right, &answers);
        }
        let counts = counts.total();
        // With no entity to find and none found, all is right.
        let value = if counts.expected + counts.predicted == 0 { 1.0 } else { counts.f1() };
        Ok(Some(Evaluation {
            metric: "f1".to_owned(),
            value,
            examples: self.eval.len(),
            ..Default::default()
        }))
    }
}
