//! A student that begins with layers of its teacher.

use bert_core::ModelConfig;
use bert_core::graph::{ParameterSource, ParameterSpec};
use bert_core::tensor::HostTensor;

use super::TrainingError;
use crate::{Pretrained, Result};

/// Every n-th layer of a teacher as the layers of a smaller student, with the teacher's embeddings and head: what a
/// student begins with who is to be as the teacher, only shallower. What the teacher does not have comes from another
/// source, such as [`Initial`](bert_core::graph::Initial).
///
/// Source: "DistilBERT, a distilled version of BERT" (Sanh et al., 2019), section 3: one layer out of two.
pub struct EveryNthLayer<'a> {
    teacher: &'a Pretrained,
    layers: usize,
    otherwise: &'a dyn ParameterSource,
}

impl<'a> EveryNthLayer<'a> {
    /// The layers for a student of this configuration: layer `i` of `k` is layer `i * n / k` of the teacher's `n`.
    ///
    /// # Errors
    /// [`TrainingError::Teacher`] if their layers differ in shape, or the student has more of them.
    pub fn new(
        teacher: &'a Pretrained,
        student: &ModelConfig,
        otherwise: &'a dyn ParameterSource,
    ) -> Result<Self> {
        let of = teacher.config();
        let sizes = |config: &ModelConfig| {
            [
                ("hidden features", config.hidden_size),
                ("attention heads", config.num_attention_heads),
                ("intermediate features", config.intermediate_size),
                ("tokens in its vocabulary", config.vocab_size),
            ]
        };
        let wrong = |reason| Err(TrainingError::Teacher { reason }.into());
        for ((what, its), (_, own)) in sizes(of).into_iter().zip(sizes(student)) {
            if its != own {
                return wrong(format!(
                    "it has {its} {what} and the student {own}: a student that begins with its layers needs the same number"
                ));
            }
        }
        let (its, own) = (of.distinct_layers(), student.distinct_layers());
        if its < own {
            return wrong(format!("it has {its} distinct layers, and the student needs {own}"));
        }
        Ok(Self { teacher, layers: own, otherwise })
    }

    /// The teacher's name of a parameter of the student.
    fn of_teacher(&self, spec: &ParameterSpec) -> ParameterSpec {
        let renamed = || {
            let (number, rest) = spec.name.strip_prefix("encoder.layer.")?.split_once('.')?;
            let layer = number.parse::<usize>().ok()? * self.teacher.config().distinct_layers() / self.layers;
            Some(format!("encoder.layer.{layer}.{rest}"))
        };
        ParameterSpec { name: renamed().unwrap_or_else(|| spec.name.clone()), ..spec.clone() }
    }
}

impl ParameterSource for EveryNthLayer<'_> {
    fn parameter(&self, spec: &ParameterSpec) -> bert_core::Result<HostTensor> {
        match self.optional(spec)? {
            Some(tensor) => Ok(tensor),
            None => self.otherwise.parameter(spec),
        }
    }

    fn optional(&self, spec: &ParameterSpec) -> bert_core::Result<Option<HostTensor>> {
        self.teacher.parameters().optional(&self.of_teacher(spec))
    }
}
