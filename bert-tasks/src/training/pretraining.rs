//! Pre-training as an objective: masked words, and whether a sentence follows another.

use std::sync::{Mutex, PoisonError};

use bert_core::ModelConfig;
use bert_core::graph::{Head, Output};

use super::target::{Target, TrainingExample};
use super::{Evaluation, Objective, Scorer};
use crate::pretraining::{Epoch, Example, Examples};
use crate::{Result, Sequence};

/// Raw text to train on, and some to evaluate on.
///
/// Every epoch cuts the documents anew and masks other words. An epoch has as many examples as the first one; the
/// few that another cutting would have more or less do not matter.
pub struct Pretraining {
    train: Examples,
    eval: Option<Examples>,
    /// How many examples to evaluate on at most.
    most: u64,
    count: u64,
    /// The epoch that examples were last asked of.
    epoch: Mutex<(u64, Epoch)>,
}

impl Pretraining {
    /// Evaluates on at most `most` examples of `eval`, always the same.
    pub fn new(train: Examples, eval: Option<Examples>, most: u64) -> Self {
        let first = train.epoch(0);
        Self { count: first.len(), epoch: Mutex::new((0, first)), train, eval, most }
    }
}

fn ready(example: Example) -> TrainingExample {
    let Example { ids, segments, is_next, masked, labels } = example;
    let target = Target::Words { words: labels, is_next };
    TrainingExample { sequences: vec![Sequence { ids, segments, masked }], target, truncated: false }
}

impl Objective for Pretraining {
    fn head(&self) -> Head {
        match self.train.options().next_sentence {
            true => Head::PreTraining,
            false => Head::MaskedLm,
        }
    }

    fn configure(&self, base: &ModelConfig) -> ModelConfig {
        base.clone()
    }

    fn examples(&self) -> usize {
        self.count as usize
    }

    /// How long examples are say the options that they are made with.
    fn example(&self, epoch: u64, index: usize, _: usize) -> Result<TrainingExample> {
        let mut now = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        if now.0 != epoch {
            *now = (epoch, self.train.epoch(epoch));
        }
        let index = index as u64 % now.1.len();
        Ok(ready(now.1.example(index)?))
    }

    /// The share of masked words that the model guesses.
    fn evaluate(&self, model: &Scorer<'_>) -> Result<Option<Evaluation>> {
        let Some(eval) = &self.eval else { return Ok(None) };
        let epoch = eval.epoch(0);
        let (mut right, mut all) = (0, 0);
        // A row of scores for each masked word is long: few examples at a time.
        const AT_A_TIME: u64 = 16;
        let most = epoch.len().min(self.most);
        for start in (0..most).step_by(AT_A_TIME as usize) {
            let examples = (start..most.min(start + AT_A_TIME)).map(|index| Ok(epoch.example(index)?));
            let examples = examples.collect::<Result<Vec<_>>>()?;
            let examples: Vec<_> =
                examples.into_iter().filter(|example| !example.masked.is_empty()).collect();
            if examples.is_empty() {
                continue;
            }
            let labels: Vec<_> = examples.iter().map(|example| example.labels.clone()).collect();
            let sequences: Vec<_> =
                examples.into_iter().flat_map(|example| ready(example).sequences).collect();
            let scored = model.score(&sequences, &[Output::Scores(Head::MaskedLm)])?;
            for (rows, labels) in scored.iter().zip(labels) {
                for (row, label) in rows[0].outer_iter().zip(labels) {
                    let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
                    right += usize::from(best == Some(label as usize));
                    all += 1;
                }
            }
        }
        let value = if all == 0 { 0.0 } else { right as f64 / all as f64 };
        Ok(Some(Evaluation::new("masked accuracy", value, all)))
    }
}
