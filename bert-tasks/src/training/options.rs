//! How to train.

use bert_core::contract::Precision;
use bert_core::train::{AdamW, Decay, Schedule};
use serde::{Deserialize, Serialize};

use super::TrainingError;
use crate::Pretrained;

/// Every setting of a run. The names are those that usual trainers have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainOptions {
    /// How often all examples are seen.
    pub epochs: u64,
    /// Examples of a step.
    pub batch_size: usize,
    /// Tokens that are computed at a time: memory, not results, depends on it, but for the last bits of sums.
    pub token_budget: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// The share of all steps in which the rate rises.
    pub warmup_ratio: f64,
    /// How the rate falls after that: `linear`, `cosine` or `constant`.
    pub schedule: DecayWord,
    /// What a step of rate 1 takes off a weight; not off biases and LayerNorms.
    pub weight_decay: f64,
    /// Gradients are brought down to this norm.
    pub max_grad_norm: f64,
    /// AdamW as the original BERT had it: without correction of the moments, epsilon 1e-6.
    pub bert_adam: bool,
    /// Whether numbers are dropped in training, with the probabilities that the model's configuration has.
    pub dropout: bool,
    /// Where the order of examples, masks and fresh weights come from.
    pub seed: u64,
    /// The longest sequence, special tokens included; that of the model if not given.
    pub max_length: Option<usize>,
    /// A state is saved every so many steps, and at the end of each epoch.
    pub save_steps: u64,
    /// The run has so many steps, whatever [`epochs`](Self::epochs) says.
    pub max_steps: Option<u64>,
    /// The model is evaluated every so many steps and after the last one; after each epoch, if not given.
    pub eval_steps: Option<u64>,
    /// The run ends after so many evaluations that were no better than the best; never if not given.
    pub patience: Option<u64>,
}

/// [`Decay`] as a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum DecayWord {
    #[default]
    Linear,
    Cosine,
    Constant,
}

impl Default for TrainOptions {
    /// Fine-tuning of a BERT on some thousand examples.
    fn default() -> Self {
        Self {
            epochs: 3,
            batch_size: 32,
            token_budget: 2048,
            learning_rate: 5e-5,
            warmup_ratio: 0.1,
            schedule: DecayWord::Linear,
            weight_decay: 0.01,
            max_grad_norm: 1.0,
            bert_adam: false,
            dropout: false,
            seed: 1,
            max_length: None,
            save_steps: 500,
            max_steps: None,
            eval_steps: None,
            patience: None,
        }
    }
}

impl TrainOptions {
    /// What linear layers compute in. Masters of the weights are `f32`.
    pub(super) const PRECISION: Precision = Precision::F32;

    /// Whether all settings make sense; a run looks itself before it begins.
    ///
    /// ```
    /// use bert_tasks::training::TrainOptions;
    /// let error = TrainOptions { warmup_ratio: 2.0, ..TrainOptions::default() }.check().unwrap_err();
    /// assert_eq!(error.to_string(), "warmup_ratio is 2; it must be a number between 0 and 1");
    /// ```
    ///
    /// # Errors
    /// [`TrainingError::Setting`] for the first that does not.
    pub fn check(&self) -> Result<(), TrainingError> {
        let positive = |setting, found: f64| match found.is_finite() && found > 0.0 {
            true => Ok(()),
            false => Err(TrainingError::Setting {
                setting,
                found: found.to_string(),
                expected: "a number above 0",
            }),
        };
        positive("epochs", self.epochs as f64)?;
        positive("batch_size", self.batch_size as f64)?;
        positive("token_budget", self.token_budget as f64)?;
        positive("learning_rate", self.learning_rate)?;
        positive("max_grad_norm", self.max_grad_norm)?;
        positive("save_steps", self.save_steps as f64)?;
        positive("max_steps", self.max_steps.unwrap_or(1) as f64)?;
        positive("eval_steps", self.eval_steps.unwrap_or(1) as f64)?;
        if let Some(length @ ..3) = self.max_length {
            let expected = "at least 3: two special tokens and one of the text";
            return Err(TrainingError::Setting {
                setting: "max_length",
                found: length.to_string(),
                expected,
            });
        }
        let share = |setting, found: f64| match (0.0..=1.0).contains(&found) {
            true => Ok(()),
            false => {
                let expected = "a number between 0 and 1";
                Err(TrainingError::Setting { setting, found: found.to_string(), expected })
            }
        };
        share("warmup_ratio", self.warmup_ratio)?;
        share("weight_decay", self.weight_decay)
    }

    /// The longest sequence that a model which begins as `base` is trained on; longer texts lose their ends.
    pub fn longest(&self, base: &Pretrained) -> usize {
        let of_tokenizer = base.tokenizer().max_length().unwrap_or(usize::MAX);
        base.config().max_tokens().min(of_tokenizer).min(self.max_length.unwrap_or(usize::MAX))
    }

    pub(super) fn adam(&self) -> AdamW {
        let adam = if self.bert_adam { AdamW::bert() } else { AdamW::default() };
        AdamW { weight_decay: self.weight_decay, ..adam }
    }

    pub(super) fn schedule(&self, steps: u64) -> Schedule {
        let decay = match self.schedule {
            DecayWord::Linear => Decay::Linear,
            DecayWord::Cosine => Decay::Cosine,
            DecayWord::Constant => Decay::Constant,
        };
        let warm_up = (steps as f64 * self.warmup_ratio).ceil() as u64;
        Schedule { rate: self.learning_rate, warm_up, steps, decay }
    }
}
