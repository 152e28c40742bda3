//! RoBERTa whose layers normalise what goes into their two halves, and not what comes out. Source: its code in
//! transformers, after "Language Modeling with Deep Transformers" (Irie et al., 2019) and fairseq.

use super::{Family, ModelConfig, ModelType, NormPlace, roberta};

pub(super) const FAMILY: Family = Family {
    defaults: || ModelConfig { norm_place: NormPlace::Before, ..(roberta::ROBERTA.defaults)() },
    ..roberta::family(ModelType::RobertaPreLayerNorm, "RobertaPreLayerNorm")
};
