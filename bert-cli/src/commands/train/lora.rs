//! The settings of low-rank adapters as flags and as keys.

use bert_tasks::training::LoraOptions;
use clap::Args;
use serde::{Deserialize, Serialize};

/// Whether adapters train instead of the model, and what they are like. What is not given is as [`LoraOptions`] has it.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "LoRA")]
#[serde(default, rename_all = "kebab-case")]
pub struct LoraArgs {
    /// Train low-rank adapters (LoRA) and the new parts of the head; the model itself is frozen. The result is a small
    /// folder in the format of PEFT. Any other option of this group implies this one
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    lora: Option<bool>,

    /// The rank of the adapters; 8, if not given
    #[arg(long, value_name = "RANK", allow_negative_numbers = true)]
    lora_rank: Option<usize>,

    /// The output of an adapter is scaled by this number over the rank; 8, if not given
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    lora_alpha: Option<f64>,

    /// The dropout of the adapters' inputs in training; 0, if not given
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    lora_dropout: Option<f64>,

    /// The layers that get adapters: ends of their names, separated by commas, or all-linear; query,value, if not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    lora_targets: Option<Vec<String>>,

    /// Modules to train in full besides the new ones, such as pooler, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    modules_to_save: Option<Vec<String>>,
}

impl LoraArgs {
    /// The first setting of an adapter that is given.
    fn given(&self) -> Option<&'static str> {
        let Self { lora: _, lora_rank, lora_alpha, lora_dropout, lora_targets, modules_to_save } = self;
        let given = [
            ("lora-rank", lora_rank.is_some()),
            ("lora-alpha", lora_alpha.is_some()),
            ("lora-dropout", lora_dropout.is_some()),
            ("lora-targets", lora_targets.is_some()),
            ("modules-to-save", modules_to_save.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    /// A setting of adapters where there are to be none.
    pub fn without_effect(&self) -> Option<&'static str> {
        self.given().filter(|_| self.lora == Some(false))
    }

    /// What the trainer is told.
    pub fn options(&self) -> Option<LoraOptions> {
        let Self { lora, lora_rank, lora_alpha, lora_dropout, lora_targets, modules_to_save } = self;
        let any = self.given().is_some();
        let usual = LoraOptions::default();
        lora.unwrap_or(any).then(|| LoraOptions {
            rank: lora_rank.unwrap_or(usual.rank),
            alpha: lora_alpha.unwrap_or(usual.alpha),
            dropout: lora_dropout.unwrap_or(usual.dropout),
            targets: lora_targets.clone().unwrap_or(usual.targets),
            modules_to_save: modules_to_save.clone().unwrap_or(usual.modules_to_save),
        })
    }
}

impl From<Option<LoraOptions>> for LoraArgs {
    fn from(options: Option<LoraOptions>) -> Self {
        let Some(LoraOptions { rank, alpha, dropout, targets, modules_to_save }) = options else {
            return Self::default();
        };
        Self {
            lora: Some(true),
            lora_rank: Some(rank),
            lora_alpha: Some(alpha),
            lora_dropout: Some(dropout),
            lora_targets: Some(targets),
            modules_to_save: Some(modules_to_save),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_tells_the_defaults_and_any_setting_means_adapters() {
        let usual = LoraOptions::default();
        assert_eq!((usual.rank, usual.alpha, usual.dropout), (8, 8.0, 0.0));
        assert_eq!(usual.targets, ["query", "value"]);
        assert_eq!(LoraArgs::default().options(), None);
        assert_eq!(LoraArgs { lora: Some(true), ..LoraArgs::default() }.options(), Some(usual.clone()));
        let rank = LoraArgs { lora_rank: Some(4), ..LoraArgs::default() };
        assert_eq!((rank.options(), rank.without_effect()), (Some(LoraOptions { rank: 4, ..usual }), None));
        let idle = LoraArgs { lora: Some(false), ..rank };
        assert_eq!((idle.options(), idle.without_effect()), (None, Some("lora-rank")));
    }
}
