//! BERT. Source: Devlin et al., 2018.

use super::{Family, LayerSharing, ModelConfig, ModelType, NormPlace, Positions, SequenceHead};
use crate::contract::Activation;

pub(super) const FAMILY: Family = Family {
    model_type: ModelType::Bert,
    class: "Bert",
    own_keys: &[],
    defaults,
    finish: |_, _| Ok(()),
    write: |_| vec![],
};

/// BERT-base, which other families change to their own.
pub(super) fn defaults() -> ModelConfig {
    let pooled = SequenceHead { dense: "pooler.dense", activation: Activation::Tanh, output: "classifier" };
    ModelConfig {
        model_type: ModelType::Bert,
        vocab_size: 30522,
        embedding_size: 768,
        embedding_projection: false,
        hidden_size: 768,
        num_hidden_layers: 12,
        layer_sharing: LayerSharing::None,
        num_attention_heads: 12,
        intermediate_size: 3072,
        hidden_act: Activation::Gelu,
        max_position_embeddings: 512,
        positions: Positions::FromZero,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
        norm_place: NormPlace::After,
        pooler: true,
        sequence_classifier: pooled,
        multiple_choice: pooled,
        next_sentence_dropout: 0.0,
        masked_lm_act: None,
        labels: vec![],
        problem_type: None,
        initializer_range: 0.02,
        hidden_dropout_prob: 0.1,
        attention_probs_dropout_prob: 0.1,
        classifier_dropout: None,
        tie_word_embeddings: true,
        architectures: vec![],
    }
}
