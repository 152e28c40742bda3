//! ELECTRA: BERT whose embeddings may be narrower than its hidden states, without a pooler. A generator is a masked
//! LM; a discriminator tells which tokens were replaced. Source: Clark et al., 2020, and its code in transformers.

use super::{Family, ModelConfig, ModelType, SequenceHead, bert};
use crate::contract::Activation;

pub(super) const FAMILY: Family = Family {
    model_type: ModelType::Electra,
    class: "Electra",
    own_keys: &[],
    defaults,
    finish: |keys, config| {
        config.embedding_size = keys.size("embedding_size", EMBEDDING)?;
        config.embedding_projection = config.embedding_size != config.hidden_size;
        // How a multiple-choice head makes one vector of a sequence.
        keys.only("summary_type", "first", "only the first token can stand for a sequence")?;
        keys.only("summary_use_proj", true, "a summary without its linear layer is not supported")?;
        config.multiple_choice.activation = match keys.is_null("summary_activation") {
            true => Activation::Identity,
            false => keys.activation("summary_activation", config.multiple_choice.activation)?,
        };
        Ok(())
    },
    write: |config| {
        let summary = super::keys::activation_word(config.multiple_choice.activation);
        vec![("embedding_size", config.embedding_size.into()), ("summary_activation", summary.into())]
    },
};

/// Extent of the embeddings where a file does not say it.
const EMBEDDING: usize = 128;

fn defaults() -> ModelConfig {
    ModelConfig {
        embedding_size: EMBEDDING,
        embedding_projection: true,
        hidden_size: 256,
        num_attention_heads: 4,
        intermediate_size: 1024,
        pooler: false,
        // Its authors used GELU where BERT has tanh.
        sequence_classifier: SequenceHead {
            dense: "classifier.dense",
            activation: Activation::Gelu,
            output: "classifier.out_proj",
        },
        multiple_choice: SequenceHead {
            dense: "sequence_summary.summary",
            activation: Activation::Gelu,
            output: "classifier",
        },
        masked_lm_act: Some(Activation::Gelu),
        ..bert::defaults()
    }
}
