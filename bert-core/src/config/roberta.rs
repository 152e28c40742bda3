//! RoBERTa and the models that are one under another name: CamemBERT, XLM-RoBERTa. BERT but for positions that
//! count from the one after the padding token's id, a classifier of two layers of its own, and a masked-LM head
//! whose activation is fixed. Source: Liu et al., 2019, and its code in transformers.

use super::{Family, ModelConfig, ModelType, Positions, SequenceHead, bert};
use crate::contract::Activation;

pub(super) const ROBERTA: Family = Family {
    defaults: || ModelConfig { vocab_size: 50265, ..defaults() },
    ..family(ModelType::Roberta, "Roberta")
};
pub(super) const CAMEMBERT: Family = family(ModelType::Camembert, "Camembert");
pub(super) const XLM_ROBERTA: Family = family(ModelType::XlmRoberta, "XLMRoberta");

pub(super) const fn family(model_type: ModelType, class: &'static str) -> Family {
    Family {
        model_type,
        class,
        own_keys: &[],
        defaults,
        finish: |keys, config| {
            let padding = keys.count("pad_token_id")?.map_or(PADDING, |id| id as u32);
            config.positions = Positions::AfterPadding(padding);
            Ok(())
        },
        write: |config| match config.positions {
            Positions::AfterPadding(padding) => vec![("pad_token_id", padding.into())],
            Positions::FromZero => vec![],
        },
    }
}

/// The id of the padding token where a file does not say it.
const PADDING: u32 = 1;

fn defaults() -> ModelConfig {
    ModelConfig {
        positions: Positions::AfterPadding(PADDING),
        sequence_classifier: SequenceHead {
            dense: "classifier.dense",
            activation: Activation::Tanh,
            output: "classifier.out_proj",
        },
        masked_lm_act: Some(Activation::Gelu),
        ..bert::defaults()
    }
}
