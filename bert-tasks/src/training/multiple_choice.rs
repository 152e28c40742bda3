//! Multiple choice as an objective: which of several endings is right.

use bert_core::ModelConfig;
use bert_core::graph::{Head, Output};

use super::target::{Target, TrainingExample};
use super::{Evaluation, Objective, Scorer, TrainingError};
use crate::data::multiple_choice::Example;
use crate::fit::fit;
use crate::tokenizer::Tokenizer;
use crate::{Pretrained, Result, Sequence};

/// Prompts with choices to train on, and some to evaluate on.
pub struct MultipleChoice {
    tokenizer: Tokenizer,
    train: Vec<Example>,
    eval: Vec<Example>,
}

impl MultipleChoice {
    /// Examples to train on all have the same number of choices.
    ///
    /// # Errors
    /// [`TrainingError::NoExamples`], [`TrainingError::Choices`].
    pub fn new(base: &Pretrained, train: Vec<Example>, eval: Vec<Example>) -> Result<Self> {
        let Some(first) = train.first() else { return Err(TrainingError::NoExamples.into()) };
        let expected = first.choices.len();
        if let Some(other) = train.iter().find(|example| example.choices.len() != expected) {
            let (place, found) = (other.place.clone(), other.choices.len());
            return Err(TrainingError::Choices { place, found, expected }.into());
        }
        Ok(Self { tokenizer: base.tokenizer().clone(), train, eval })
    }

    /// The number of the choice that is right in all examples to train on, if it is the same one: labels may be missing.
    pub fn only_label(&self) -> Option<usize> {
        let label = self.train[0].label;
        (self.train.len() > 1 && self.train.iter().all(|example| example.label == label)).then_some(label)
    }

    /// How many of all examples have a prompt and a choice of more tokens, so that a run which takes no more than these
    /// cuts their ends.
    ///
    /// # Errors
    /// A text that cannot be tokenised.
    pub fn longer_than(&self, max_length: usize) -> Result<usize> {
        let mut longer = 0;
        for example in self.train.iter().chain(&self.eval) {
            longer += usize::from(self.sequences(example, max_length)?.1);
        }
        Ok(longer)
    }

    /// The prompt with each choice, and whether some are cut.
    fn sequences(&self, example: &Example, max_length: usize) -> Result<(Vec<Sequence>, bool)> {
        let (mut sequences, mut truncated) = (vec![], false);
        for choice in &example.choices {
            let fitted = fit(self.tokenizer.encode_pair(&example.prompt, choice)?, max_length);
            truncated |= fitted.truncated.iter().any(Option::is_some);
            sequences.push(fitted.encoded.into());
        }
        Ok((sequences, truncated))
    }
}

impl Objective for MultipleChoice {
    fn head(&self) -> Head {
        Head::MultipleChoice
    }

    fn configure(&self, base: &ModelConfig) -> ModelConfig {
        base.clone()
    }

    fn examples(&self) -> usize {
        self.train.len()
    }

    fn example(&self, _: u64, index: usize, max_length: usize) -> Result<TrainingExample> {
        let example = &self.train[index];
        let (sequences, truncated) = self.sequences(example, max_length)?;
        Ok(TrainingExample { sequences, target: Target::Choice(example.label as u32), truncated })
    }

    /// How often the right choice has the best score.
    fn evaluate(&self, model: &Scorer<'_>) -> Result<Option<Evaluation>> {
        if self.eval.is_empty() {
            return Ok(None);
        }
        let mut right = 0;
        // Few at a time, so that memory stays flat.
        const AT_A_TIME: usize = 256;
        for examples in self.eval.chunks(AT_A_TIME) {
            let mut sequences = vec![];
            for example in examples {
                sequences.extend(self.sequences(example, model.max_length())?.0);
            }
            let scored = model.score(&sequences, &[Output::Scores(self.head())])?;
            let mut scores = scored.iter().map(|rows| rows[0][[0, 0]]);
            for example in examples {
                let of_example: Vec<f32> = scores.by_ref().take(example.choices.len()).collect();
                let best = (0..of_example.len())
                    .max_by(|&a, &b| of_example[a].total_cmp(&of_example[b]).then(b.cmp(&a)));
                right += usize::from(best == Some(example.label));
            }
        }
        let count = self.eval.len();
        Ok(Some(Evaluation::new("accuracy", right as f64 / count as f64, count)))
    }
}
