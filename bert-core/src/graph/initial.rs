//! The numbers of a model before training.

use super::loader::ParameterSource;
use super::parameters::{ParameterKind, ParameterSpec};
use crate::Result;
use crate::random::Random;
use crate::tensor::HostTensor;

/// Random parameters: normal numbers whose mean and deviation depend on what a parameter is for; those of an adapter's
/// first matrix are uniform. Each one follows
/// from the seed and its own name, so that no order of making them matters, and a head that is added changes none
/// of the others.
#[derive(Clone, Copy, Debug)]
pub struct Initial {
    random: Random,
    spread: fn(&ParameterSpec, f64) -> (f64, f64),
    range: f64,
}

impl Initial {
    /// As BERT begins: weights and tables of deviation `range` (`initializer_range` of the configuration), no
    /// biases, LayerNorms that change nothing.
    pub fn new(seed: u64, range: f64) -> Self {
        let spread = |spec: &ParameterSpec, range| spec.initial(range);
        Self { random: Random::new(seed), spread, range }
    }

    /// Far from where training begins, for tests: attention is peaked, and a scale or a bias that is left out is
    /// seen.
    pub fn spread(seed: u64) -> Self {
        let spread = |spec: &ParameterSpec, _| match spec.kind {
            ParameterKind::Weight | ParameterKind::LoraA | ParameterKind::LoraB => {
                (0.0, 1.5 / (spec.shape[1] as f64).sqrt())
            }
            ParameterKind::Table => (0.0, 1.0),
            ParameterKind::NormWeight => (1.0, 0.3),
            ParameterKind::Bias | ParameterKind::NormBias => (0.0, 0.3),
        };
        Self { random: Random::new(seed), spread, range: 0.0 }
    }
}

impl ParameterSource for Initial {
    fn parameter(&self, spec: &ParameterSpec) -> Result<HostTensor> {
        let (mean, deviation) = (self.spread)(spec, self.range);
        let random = self.random.named(&spec.name);
        let count = spec.shape.elements() as u64;
        let values = match deviation {
            0.0 => vec![mean as f32; count as usize],
            _ if spec.kind == ParameterKind::LoraA => {
                let half = 3f64.sqrt() * deviation;
                (0..count).map(|i| (mean + half * (2.0 * random.uniform(i) - 1.0)) as f32).collect()
            }
            _ => (0..count).map(|i| (mean + deviation * random.normal(i)) as f32).collect(),
        };
        Ok(HostTensor::from_vec(values, spec.shape))
    }

    /// The pooler is there where a model can have one. A decoder that may be tied is tied: one of its own is asked
    /// for by [`parameter`](Self::parameter).
    fn optional(&self, spec: &ParameterSpec) -> Result<Option<HostTensor>> {
        if spec.name.ends_with(".decoder.weight") { Ok(None) } else { self.parameter(spec).map(Some) }
    }
}
