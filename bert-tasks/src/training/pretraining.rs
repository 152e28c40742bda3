//! Pre-training as an objective: masked words, and whether a sentence follows another.

use std::sync::{Mutex, PoisonError};

use bert_core::ModelConfig;
use bert_core::graph::{Head, Output};

use super::target::{Target, TrainingExample};
use super::{Evaluation, Objective, Scorer};
use crate::evaluation::metrics::language_model::{Guess, Guesses};
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

    /// The share of masked words that the model guesses; how often the word is among its first five, its mean loss,
    /// and the share of pairs of which it is right whether they follow each other.
    fn evaluate(&self, model: &Scorer<'_>) -> Result<Option<Evaluation>> {
        let Some(eval) = &self.eval else { return Ok(None) };
        let epoch = eval.epoch(0);
        let mut sums = Sums::default();
        // A row of scores for each masked word is long: few examples at a time.
        const AT_A_TIME: u64 = 16;
        let most = epoch.len().min(self.most);
        for start in (0..most).step_by(AT_A_TIME as usize) {
            let examples = (start..most.min(start + AT_A_TIME)).map(|index| Ok(ready(epoch.example(index)?)));
            let mut examples = examples.collect::<Result<Vec<_>>>()?;
            let pairs = examples.iter().any(|example| example.target.terms(Head::NextSentence) > 0);
            examples.retain(|example| example.target.terms(Head::MaskedLm) > 0);
            let mut outputs = vec![Output::Scores(Head::MaskedLm)];
            outputs.extend(pairs.then_some(Output::Scores(Head::NextSentence)));
            let sequences: Vec<_> =
                examples.iter().flat_map(|example| example.sequences.iter().cloned()).collect();
            for (rows, example) in model.score(&sequences, &outputs)?.iter().zip(&examples) {
                let Target::Words { words, is_next } = &example.target else { unreachable!("made above") };
                for (row, &word) in rows[0].outer_iter().zip(words) {
                    sums.guesses.add(Guess::of(row, word as usize));
                }
                if let (Some(is_next), Some(rows)) = (is_next, rows.get(1)) {
                    sums.pairs += 1;
                    sums.right_pairs += usize::from((rows[[0, 0]] >= rows[[0, 1]]) == *is_next);
                }
            }
        }
        Ok(Some(sums.evaluation()))
    }
}

/// What is counted over the examples of an evaluation.
#[derive(Default)]
struct Sums {
    guesses: Guesses,
    pairs: usize,
    right_pairs: usize,
}

impl Sums {
    fn evaluation(&self) -> Evaluation {
        // Without anything to guess there is no figure, and 0 is as bad as can be.
        let of = |figure: f64, count: usize| if count == 0 { 0.0 } else { figure };
        let Guesses { words, .. } = self.guesses;
        let mut evaluation = Evaluation::new("masked accuracy", of(self.guesses.accuracy(), words), words)
            .with_detail("masked accuracy in 5", of(self.guesses.accuracy_in_5(), words))
            .with_detail("masked loss", of(self.guesses.mean_loss(), words));
        if self.pairs > 0 {
            let accuracy = self.right_pairs as f64 / self.pairs as f64;
            evaluation = evaluation.with_detail("next sentence accuracy", accuracy);
        }
        evaluation
    }
}
