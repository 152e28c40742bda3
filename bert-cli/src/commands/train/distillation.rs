//! The settings of distillation as flags and as keys.

use bert_tasks::training::DistillationOptions;
use clap::Args;
use serde::{Deserialize, Serialize};

/// How a student follows the model of --teacher. What is not given is as [`DistillationOptions`] has it.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Distillation")]
#[serde(default, rename_all = "kebab-case")]
pub struct DistillationArgs {
    /// What scores are divided by before they are compared with the teacher's: above 1, unlikely classes count for
    /// more; 2, if not given
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    temperature: Option<f64>,

    /// The share of the teacher's scores in the loss: with 1, labels do not count; 0.5, if not given
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    distil_weight: Option<f64>,

    /// The weight of the cosine loss of the last hidden states; needs a teacher of the same hidden size; 0, if not given
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    hidden_weight: Option<f64>,
}

impl DistillationArgs {
    /// What the trainer is told, if anything is said here or is usual for the task.
    pub fn options(&self, usual: Option<DistillationOptions>) -> Option<DistillationOptions> {
        let Self { temperature, distil_weight, hidden_weight } = *self;
        let any = temperature.is_some() || distil_weight.is_some() || hidden_weight.is_some();
        let of = |usual: DistillationOptions| DistillationOptions {
            temperature: temperature.unwrap_or(usual.temperature),
            weight: distil_weight.unwrap_or(usual.weight),
            hidden_weight: hidden_weight.unwrap_or(usual.hidden_weight),
        };
        (any || usual.is_some()).then(|| of(usual.unwrap_or_default()))
    }
}

impl From<Option<DistillationOptions>> for DistillationArgs {
    fn from(options: Option<DistillationOptions>) -> Self {
        let Some(DistillationOptions { temperature, weight, hidden_weight }) = options else {
            return Self::default();
        };
        Self {
            temperature: Some(temperature),
            distil_weight: Some(weight),
            hidden_weight: Some(hidden_weight),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_tells_the_defaults_and_nothing_said_is_nothing() {
        let usual = DistillationOptions { temperature: 2.0, weight: 0.5, hidden_weight: 0.0 };
        assert_eq!(usual, DistillationOptions::default());
        assert_eq!(DistillationArgs::default().options(None), None);
        let half = DistillationArgs { distil_weight: Some(0.25), ..DistillationArgs::default() };
        assert_eq!(half.options(None), Some(DistillationOptions { weight: 0.25, ..usual }));
        assert_eq!(DistillationArgs::from(half.options(None)).options(None), half.options(None));
    }
}
