//! ALBERT: BERT whose embeddings are narrow and whose layers share their parameters, as a rule all of them. Source:
//! Lan et al., 2020, and its code in transformers. In training, what the feed-forward network gives is dropped as in BERT
//! and in its authors' code; transformers leaves that out.

use super::keys::invalid;
use super::{Family, LayerSharing, ModelConfig, ModelType, bert};
use crate::contract::Activation;

pub(super) const FAMILY: Family = Family {
    model_type: ModelType::Albert,
    class: "Albert",
    own_keys: &[("classifier_dropout", "classifier_dropout_prob")],
    defaults,
    finish: |keys, config| {
        config.embedding_size = keys.size("embedding_size", EMBEDDING)?;
        let (groups, layers) = (keys.size("num_hidden_groups", 1)?, config.num_hidden_layers);
        if groups > layers {
            let expected = format!("it must be at most num_hidden_layers {layers}");
            return Err(invalid("num_hidden_groups", groups, expected));
        }
        config.layer_sharing = LayerSharing::Groups(groups);
        config.next_sentence_dropout = config.classifier_dropout();
        keys.only("inner_group_num", 1, "groups of more than one layer are not supported")
    },
    write: |config| {
        let groups = match config.layer_sharing {
            LayerSharing::Groups(groups) => groups,
            LayerSharing::None => config.num_hidden_layers,
        };
        vec![("embedding_size", config.embedding_size.into()), ("num_hidden_groups", groups.into())]
    },
};

/// Extent of the embeddings where a file does not say it.
const EMBEDDING: usize = 128;

fn defaults() -> ModelConfig {
    ModelConfig {
        vocab_size: 30000,
        embedding_size: EMBEDDING,
        embedding_projection: true,
        hidden_size: 4096,
        num_attention_heads: 64,
        intermediate_size: 16384,
        layer_sharing: LayerSharing::Groups(1),
        hidden_act: Activation::GeluTanh,
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        classifier_dropout: Some(0.1),
        ..bert::defaults()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn read(rest: &str) -> crate::Result<ModelConfig> {
        ModelConfig::from_json(&format!(r#"{{"model_type": "albert", {rest}}}"#))
    }

    #[test]
    fn layers_are_used_in_turn_by_groups() {
        let uses = |rest: &str| -> Vec<usize> {
            let config = read(rest).unwrap();
            (0..config.num_hidden_layers).map(|index| config.distinct_layer(index)).collect()
        };
        assert_eq!(uses(r#""num_hidden_layers": 4"#), [0, 0, 0, 0]);
        assert_eq!(uses(r#""num_hidden_layers": 4, "num_hidden_groups": 2"#), [0, 0, 1, 1]);
        // As transformers divides.
        assert_eq!(uses(r#""num_hidden_layers": 5, "num_hidden_groups": 3"#), [0, 0, 1, 1, 2]);
        assert_eq!(uses(r#""num_hidden_layers": 3, "num_hidden_groups": 3"#), [0, 1, 2]);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (rest, refused) in [
            (r#""inner_group_num": 2"#, "inner_group_num"),
            (r#""num_hidden_groups": 0"#, "num_hidden_groups"),
            (r#""num_hidden_groups": 3, "num_hidden_layers": 2"#, "num_hidden_groups"),
            (r#""embedding_size": 0"#, "embedding_size"),
        ] {
            let error = read(rest).unwrap_err();
            assert!(matches!(error, Error::Config { field, .. } if field == refused), "{rest}: {error}");
        }
    }

    #[test]
    fn the_published_configurations_are_read_as_they_are() {
        let config = read(
            r#""classifier_dropout_prob": 0.25, "down_scale_factor": 1, "embedding_size": 128, "gap_size": 0,
            "hidden_act": "gelu_new", "hidden_size": 768, "inner_group_num": 1, "net_structure_type": 0,
            "num_attention_heads": 12, "num_hidden_groups": 1, "num_memory_blocks": 0"#,
        )
        .unwrap();
        assert_eq!((config.embedding_size, config.hidden_size, config.distinct_layers()), (128, 768, 1));
        assert_eq!((config.classifier_dropout(), config.next_sentence_dropout), (0.25, 0.25));
    }
}
