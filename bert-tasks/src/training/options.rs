//! How to train.

use bert_core::contract::Precision;
use bert_core::train::{AdamW, Decay, Schedule};
use serde::{Deserialize, Serialize};

use super::{DistillationOptions, TrainingError};
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
    /// Whether a step keeps little of what it computes for the way back and makes the rest again: less memory, more time,
    /// the same results.
    pub recompute: bool,
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
    /// The embeddings and so many layers above them stay as they are; with 0 the embeddings alone, and with nothing
    /// given all of the model trains.
    pub freeze_layers: Option<usize>,
    /// What the learning rate is multiplied with for what lies above the encoder: a fresh head has more to learn.
    pub head_rate_factor: f64,
    /// What the learning rate is multiplied with for each layer further down, from the head to the embeddings.
    pub layer_decay: f64,
    /// Trains low-rank adapters instead of the model.
    pub lora: Option<LoraOptions>,
    /// Follows the teacher of [`Trainer::with_teacher`](super::Trainer::with_teacher), which sets this.
    pub distillation: Option<DistillationOptions>,
}

/// Low-rank adapters, in place of the weights of some linear layers. Only they train, and what is fresh, such as the
/// head of a new classifier: the model that comes out is a small folder in the layout of PEFT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoraOptions {
    /// The rank of what is added to a weight.
    pub rank: usize,
    /// What is added is multiplied with `alpha / rank`.
    pub alpha: f64,
    /// The share of an adapter's input that is dropped in training, whether or not the model drops anything.
    pub dropout: f64,
    /// The ends of the names of the layers with adapters, such as `query`; `all-linear` is all but the last of a head.
    pub targets: Vec<String>,
    /// Modules that train as a whole, such as `pooler`, besides those that are fresh.
    pub modules_to_save: Vec<String>,
}

impl LoraOptions {
    /// The highest rank.
    pub const MAX_RANK: usize = 4096;
}

impl Default for LoraOptions {
    /// As PEFT has them for these models.
    fn default() -> Self {
        let targets = ["query", "value"].map(str::to_owned).to_vec();
        Self { rank: 8, alpha: 8.0, dropout: 0.0, targets, modules_to_save: vec![] }
    }
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
            recompute: false,
            seed: 1,
            max_length: None,
            save_steps: 500,
            max_steps: None,
            eval_steps: None,
            patience: None,
            freeze_layers: None,
            head_rate_factor: 1.0,
            layer_decay: 1.0,
            lora: None,
            distillation: None,
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
        share("weight_decay", self.weight_decay)?;
        positive("head_rate_factor", self.head_rate_factor)?;
        positive("layer_decay", self.layer_decay)?;
        share("layer_decay", self.layer_decay)?;
        if let Some(distillation) = &self.distillation {
            distillation.check()?;
        }
        self.check_lora()
    }

    fn check_lora(&self) -> Result<(), TrainingError> {
        let Some(lora) = &self.lora else { return Ok(()) };
        let wrong = |setting, found: &dyn ToString, expected| {
            Err(TrainingError::Setting { setting, found: found.to_string(), expected })
        };
        if lora.rank == 0 {
            return wrong("lora rank", &lora.rank, "at least 1");
        }
        if lora.rank > LoraOptions::MAX_RANK {
            return wrong("lora rank", &lora.rank, "at most 4096");
        }
        if !(lora.alpha.is_finite() && lora.alpha > 0.0) {
            return wrong("lora alpha", &lora.alpha, "a number above 0");
        }
        if !(0.0..1.0).contains(&lora.dropout) {
            return wrong("lora dropout", &lora.dropout, "a number of at least 0 and below 1");
        }
        if lora.targets.is_empty() {
            return wrong("lora targets", &"empty", "the names of layers, or all-linear");
        }
        match self.freeze_layers {
            Some(count) => wrong("freeze_layers", &count, "left out with lora, which freezes all layers"),
            None => Ok(()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absurd_rank_is_refused() {
        let check = |rank| {
            let lora = Some(LoraOptions { rank, ..LoraOptions::default() });
            TrainOptions { lora, ..TrainOptions::default() }.check()
        };
        assert!(check(LoraOptions::MAX_RANK).is_ok());
        let error = check(usize::MAX).unwrap_err().to_string();
        assert!(error.contains("lora rank is 18446744073709551615; it must be at most 4096"), "{error}");
    }
}
