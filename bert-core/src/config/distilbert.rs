//! DistilBERT: BERT without segments and pooler, with its own words for most keys. Source: Sanh et al., 2019.

use super::{Family, ModelConfig, ModelType, SequenceHead, bert};
use crate::contract::Activation;

pub(super) const FAMILY: Family = Family {
    model_type: ModelType::DistilBert,
    class: "DistilBert",
    own_keys: &[
        ("hidden_size", "dim"),
        ("num_hidden_layers", "n_layers"),
        ("num_attention_heads", "n_heads"),
        ("intermediate_size", "hidden_dim"),
        ("hidden_act", "activation"),
        ("hidden_dropout_prob", "dropout"),
        ("attention_probs_dropout_prob", "attention_dropout"),
        ("classifier_dropout", "seq_classif_dropout"),
    ],
    defaults,
    finish: |_, config| {
        config.type_vocab_size = 0;
        config.layer_norm_eps = 1e-12; // fixed in its code
        Ok(())
    },
    write: |_| vec![],
};

fn defaults() -> ModelConfig {
    let classifier =
        SequenceHead { dense: "pre_classifier", activation: Activation::Relu, output: "classifier" };
    ModelConfig {
        num_hidden_layers: 6,
        pooler: false,
        sequence_classifier: classifier,
        multiple_choice: classifier,
        classifier_dropout: Some(0.2),
        ..bert::defaults()
    }
}
