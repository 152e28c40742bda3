//! Every setting of a trainer as a flag and as a key.

use bert_tasks::training::{DecayWord, TrainOptions};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::distillation::DistillationArgs;
use super::lora::LoraArgs;

/// How to train. What is not given is as the task has it.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Training")]
#[serde(default, rename_all = "kebab-case")]
pub struct OptionArgs {
    /// The number of epochs, which are passes over all examples [default: 3]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    epochs: Option<u64>,

    /// The number of examples in a step [default: 32]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    batch_size: Option<usize>,

    /// The highest learning rate [default: 5e-5]
    #[arg(long, visible_alias = "lr", value_name = "RATE", allow_negative_numbers = true)]
    learning_rate: Option<f64>,

    /// The share of all steps in which the learning rate warms up [default: 0.1]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    warmup_ratio: Option<f64>,

    /// How the learning rate falls after the warm-up [default: linear]
    #[arg(long, value_name = "SCHEDULE", value_enum)]
    schedule: Option<Schedule>,

    /// The weight decay; none for biases and LayerNorms [default: 0.01]
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    weight_decay: Option<f64>,

    /// The largest norm of the gradients; longer ones are scaled down to it [default: 1]
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    max_grad_norm: Option<f64>,

    /// The seed for the order of examples, new weights and masks; the same seed gives the same model [default: 1]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// The longest example in tokens; longer ones are cut [default: as long as the model allows]
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true)]
    max_length: Option<usize>,

    /// How many tokens are computed at a time: less takes less memory [default: 2048]
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true)]
    token_budget: Option<usize>,

    /// How many steps apart a state to resume from is saved, besides at the end of each epoch [default: 500]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    save_steps: Option<u64>,

    /// Train for this many steps, whatever --epochs says
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    max_steps: Option<u64>,

    /// How many steps apart the model is evaluated, besides after the last one; after each epoch, if not given
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    eval_steps: Option<u64>,

    /// Stop after this many evaluations in a row without a new best one; never, if not given
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    patience: Option<u64>,

    /// AdamW as the original BERT had it: without bias correction, and with an epsilon of 1e-6
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    bert_adam: Option<bool>,

    /// Use dropout, with the probabilities of the model's configuration
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    dropout: Option<bool>,

    /// Recompute activations in the backward pass (gradient checkpointing): less memory, more time, the same results
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    recompute: Option<bool>,

    /// Freeze the embeddings and this many layers above them; with 0, only the embeddings
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    freeze_layers: Option<usize>,

    /// The learning rate of the head, as a multiple of that of the encoder [default: 1]
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    head_rate_factor: Option<f64>,

    /// The factor of the learning rate for each layer further down (layer-wise decay) [default: 1]
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    layer_decay: Option<f64>,

    #[command(flatten)]
    #[serde(flatten)]
    lora: LoraArgs,

    #[command(flatten)]
    #[serde(flatten)]
    distillation: DistillationArgs,
}

/// How the rate falls after the warm-up.
#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Schedule {
    /// In a straight line, to 0 at the last step
    Linear,
    /// Along half a cosine, to 0
    Cosine,
    /// Not at all
    Constant,
}

impl OptionArgs {
    /// A setting that changes nothing, and what it needs.
    pub fn without_effect(&self, has_eval: bool) -> Option<(&'static str, &'static str)> {
        let of_eval = [("eval-steps", self.eval_steps.is_some()), ("patience", self.patience.is_some())];
        let idle = of_eval.into_iter().find(|&(_, given)| given && !has_eval);
        idle.map(|(flag, _)| (flag, "eval")).or_else(|| Some((self.lora.without_effect()?, "lora")))
    }

    /// What the trainer is told; what is not given is as usual for the task.
    pub fn options(&self, usual: TrainOptions) -> TrainOptions {
        TrainOptions {
            epochs: self.epochs.unwrap_or(usual.epochs),
            batch_size: self.batch_size.unwrap_or(usual.batch_size),
            token_budget: self.token_budget.unwrap_or(usual.token_budget),
            learning_rate: self.learning_rate.unwrap_or(usual.learning_rate),
            warmup_ratio: self.warmup_ratio.unwrap_or(usual.warmup_ratio),
            schedule: self.schedule.map_or(usual.schedule, Into::into),
            weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
            max_grad_norm: self.max_grad_norm.unwrap_or(usual.max_grad_norm),
            bert_adam: self.bert_adam.unwrap_or(usual.bert_adam),
            dropout: self.dropout.unwrap_or(usual.dropout),
            recompute: self.recompute.unwrap_or(usual.recompute),
            seed: self.seed.unwrap_or(usual.seed),
            max_length: self.max_length.or(usual.max_length),
            save_steps: self.save_steps.unwrap_or(usual.save_steps),
            max_steps: self.max_steps.or(usual.max_steps),
            eval_steps: self.eval_steps.or(usual.eval_steps),
            patience: self.patience.or(usual.patience),
            freeze_layers: self.freeze_layers.or(usual.freeze_layers),
            head_rate_factor: self.head_rate_factor.unwrap_or(usual.head_rate_factor),
            layer_decay: self.layer_decay.unwrap_or(usual.layer_decay),
            lora: self.lora.options(),
            distillation: self.distillation.options(usual.distillation),
        }
    }
}

impl From<TrainOptions> for OptionArgs {
    fn from(options: TrainOptions) -> Self {
        Self {
            epochs: Some(options.epochs),
            batch_size: Some(options.batch_size),
            learning_rate: Some(options.learning_rate),
            warmup_ratio: Some(options.warmup_ratio),
            schedule: Some(options.schedule.into()),
            weight_decay: Some(options.weight_decay),
            max_grad_norm: Some(options.max_grad_norm),
            seed: Some(options.seed),
            max_length: options.max_length,
            token_budget: Some(options.token_budget),
            save_steps: Some(options.save_steps),
            max_steps: options.max_steps,
            eval_steps: options.eval_steps,
            patience: options.patience,
            bert_adam: Some(options.bert_adam),
            dropout: Some(options.dropout),
            recompute: Some(options.recompute),
            freeze_layers: options.freeze_layers,
            head_rate_factor: Some(options.head_rate_factor),
            layer_decay: Some(options.layer_decay),
            lora: options.lora.into(),
            distillation: options.distillation.into(),
        }
    }
}

impl From<Schedule> for DecayWord {
    fn from(schedule: Schedule) -> Self {
        match schedule {
            Schedule::Linear => Self::Linear,
            Schedule::Cosine => Self::Cosine,
            Schedule::Constant => Self::Constant,
        }
    }
}

impl From<DecayWord> for Schedule {
    fn from(word: DecayWord) -> Self {
        match word {
            DecayWord::Linear => Self::Linear,
            DecayWord::Cosine => Self::Cosine,
            DecayWord::Constant => Self::Constant,
        }
    }
}

#[cfg(test)]
mod tests {
    use bert_tasks::training::{DistillationOptions, LoraOptions};
    use clap::Command;

    use super::*;

    #[test]
    fn nothing_is_lost_on_the_way_and_the_help_tells_the_defaults() {
        let usual = TrainOptions::default();
        assert_eq!(OptionArgs::default().options(usual.clone()), usual);
        let other = TrainOptions {
            epochs: 7,
            schedule: DecayWord::Cosine,
            bert_adam: true,
            recompute: true,
            max_length: Some(9),
            patience: Some(2),
            freeze_layers: Some(3),
            lora: Some(LoraOptions { rank: 2, ..LoraOptions::default() }),
            distillation: Some(DistillationOptions { weight: 0.25, ..DistillationOptions::default() }),
            ..usual.clone()
        };
        assert_eq!(OptionArgs::from(other.clone()).options(usual.clone()), other);

        let command = OptionArgs::augment_args(Command::new("train"));
        let table = toml::Table::try_from(OptionArgs::from(usual)).unwrap();
        for arg in command.get_arguments() {
            let help = arg.get_help().unwrap().to_string();
            let key = arg.get_long().unwrap();
            let Some((_, told)) = help.split_once("[default: ").filter(|_| key != "max-length") else {
                let optional = [
                    "max-length",
                    "max-steps",
                    "eval-steps",
                    "patience",
                    "bert-adam",
                    "dropout",
                    "recompute",
                    "freeze-layers",
                ];
                let of_adapters = key.starts_with("lora") || key == "modules-to-save";
                let of_teachers = ["temperature", "distil-weight", "hidden-weight"].contains(&key);
                assert!(optional.contains(&key) || of_adapters || of_teachers, "{key}");
                continue;
            };
            let told: toml::Value = told
                .trim_end_matches(']')
                .parse()
                .unwrap_or_else(|_| toml::Value::String(told.trim_end_matches(']').to_owned()));
            let number = |value: &toml::Value| value.as_float().or(value.as_integer().map(|n| n as f64));
            assert_eq!((number(&told), told.as_str()), (number(&table[key]), table[key].as_str()), "{key}");
        }
    }
}
