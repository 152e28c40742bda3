//! RoBERTa whose layers normalise what goes into their two halves, and not what comes out. Source: fairseq's
//! `--encoder-normalize-before` (Ott et al., 2019), and its code in transformers.

use super::{Family, ModelConfig, ModelType, NormPlace, roberta};

pub(super) const FAMILY: Family = Family {
    defaults: || ModelConfig { norm_place: NormPlace::Before, ..(roberta::ROBERTA.defaults)() },
    ..roberta::family(ModelType::RobertaPreLayerNorm, "RobertaPreLayerNorm")
};
