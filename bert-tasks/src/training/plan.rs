//! What of a model trains, and how fast.

use std::collections::BTreeSet;
use std::path::{self, Component, Path};

use bert_core::ModelConfig;
use bert_core::checkpoint::{AdapterConfig, Selection};
use bert_core::graph::{Head, ParameterKind, ParameterSource, ParameterSpec};
use bert_core::tensor::HostTensor;
use bert_core::train::Lora;

use super::folder::Beginning;
use super::options::LoraOptions;
use super::{TrainOptions, TrainingError};
use crate::pretrained::ModelSource;
use crate::{Pretrained, Result};

/// What of a model trains, and how fast.
pub struct Plan {
    layers: usize,
    freeze_layers: Option<usize>,
    head_rate_factor: f64,
    layer_decay: f64,
    adapters: Option<Adapters>,
}

/// What trains where adapters do.
pub struct Adapters {
    pub lora: Lora,
    options: LoraOptions,
    selection: Selection,
    adapted: BTreeSet<String>,
    saved: BTreeSet<String>,
}

impl Plan {
    /// What these options mean for a model.
    ///
    /// # Errors
    /// Names of layers that the model does not have; adapters of a model that has one already.
    pub fn new(
        base: &Pretrained,
        config: &ModelConfig,
        head: Head,
        options: &TrainOptions,
        beginning: &Beginning<'_>,
    ) -> Result<Self> {
        let adapters = match &options.lora {
            Some(_) if base.adapter().is_some() => {
                let found = "set for a model that has an adapter already".to_owned();
                let expected = "used with a model without an adapter";
                return Err(TrainingError::Setting { setting: "lora", found, expected }.into());
            }
            Some(lora) => Some(Adapters::new(lora, config, head, beginning)?),
            None => None,
        };
        Ok(Self {
            layers: config.distinct_layers(),
            freeze_layers: options.freeze_layers,
            head_rate_factor: options.head_rate_factor,
            layer_decay: options.layer_decay,
            adapters,
        })
    }

    /// What the learning rate is multiplied with for a parameter; 0 is frozen.
    pub fn rate_factor(&self, spec: &ParameterSpec) -> f64 {
        let depth = self.depth(spec);
        let frozen = match &self.adapters {
            Some(adapters) => !is_adapter(spec) && !adapters.saved.contains(&spec.name),
            None => self.freeze_layers.is_some_and(|layers| depth <= layers.min(self.layers)),
        };
        let head = if depth > self.layers { self.head_rate_factor } else { 1.0 };
        match frozen {
            true => 0.0,
            false => head * self.layer_decay.powi((self.layers + 1 - depth) as i32),
        }
    }

    /// How far up a parameter is: 0 are the embeddings, then come the layers that have parameters of their own, then the
    /// head.
    fn depth(&self, spec: &ParameterSpec) -> usize {
        let layer =
            spec.name.strip_prefix("encoder.layer.").and_then(|rest| rest.split('.').next()?.parse().ok());
        match layer {
            Some(layer) => 1usize.saturating_add(layer),
            None if spec.name.starts_with("embeddings") => 0,
            // The LayerNorm after the last layer, where layers begin with one.
            None if spec.name.starts_with("encoder.") => self.layers,
            None => self.layers + 1,
        }
    }

    /// The adapters, if they are what trains.
    pub fn adapters(&self) -> Option<&Adapters> {
        self.adapters.as_ref()
    }
}

fn is_adapter(spec: &ParameterSpec) -> bool {
    matches!(spec.kind, ParameterKind::LoraA | ParameterKind::LoraB)
}

impl Adapters {
    fn new(
        options: &LoraOptions,
        config: &ModelConfig,
        head: Head,
        beginning: &Beginning<'_>,
    ) -> Result<Self> {
        let LoraOptions { rank, alpha, dropout, targets, modules_to_save } = options;
        let fresh = |name: &ParameterSpec| !beginning.keeps(name);
        let selection = Selection::new(config, head, targets, modules_to_save, fresh)?;
        let names = |specs: &[ParameterSpec]| specs.iter().map(|spec| spec.name.clone()).collect();
        Ok(Self {
            lora: Lora { rank: *rank, scale: alpha / *rank as f64, dropout: *dropout },
            options: options.clone(),
            adapted: names(&selection.adapted),
            saved: names(&selection.saved),
            selection,
        })
    }

    /// Whether the layer of a weight has an adapter.
    pub fn targets(&self, weight: &ParameterSpec) -> bool {
        self.adapted.contains(&weight.name)
    }

    /// What the configuration of the adapter says.
    pub fn config(&self, base: &ModelSource, head: Head) -> AdapterConfig {
        AdapterConfig {
            base: base_name(base),
            head: Some(head),
            rank: self.options.rank,
            alpha: self.options.alpha,
            alpha_pattern: Default::default(),
            rslora: false,
            dropout: self.options.dropout,
            targets: self.selection.targets.clone(),
            modules_to_save: self.selection.modules_to_save.clone(),
        }
    }
}

/// What leads to a model from anywhere: its name on the hub if it is from there, or its folder.
fn base_name(source: &ModelSource) -> Option<String> {
    let ModelSource::Folder(folder) = source else { return None };
    Some(
        hub_name(folder)
            .unwrap_or_else(|| path::absolute(folder).unwrap_or(folder.clone()).display().to_string()),
    )
}

/// The name of a model on the hub, if a folder is where the cache keeps it.
fn hub_name(folder: &Path) -> Option<String> {
    let parts: Vec<_> = folder.components().collect();
    let [.., Component::Normal(model), Component::Normal(snapshots), _] = parts[..] else { return None };
    let name = model.to_str()?.strip_prefix("models--").filter(|_| snapshots == "snapshots")?;
    Some(name.replacen("--", "/", 1))
}

/// What a run goes on from: the masters of what trains, and the beginning of what does not.
pub struct Resumed<'a> {
    pub masters: &'a dyn ParameterSource,
    pub beginning: &'a dyn ParameterSource,
    pub plan: &'a Plan,
}

impl Resumed<'_> {
    fn source(&self, spec: &ParameterSpec) -> &dyn ParameterSource {
        if self.plan.rate_factor(spec) == 0.0 { self.beginning } else { self.masters }
    }
}

impl ParameterSource for Resumed<'_> {
    fn parameter(&self, spec: &ParameterSpec) -> bert_core::Result<HostTensor> {
        self.source(spec).parameter(spec)
    }

    fn optional(&self, spec: &ParameterSpec) -> bert_core::Result<Option<HostTensor>> {
        self.source(spec).optional(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_of_the_hub_is_called_by_its_name() {
        let name = |path: &str| base_name(&ModelSource::Folder(path.into())).unwrap();
        let cache = "/cache/models--google-bert--bert-base-uncased/snapshots/86b5e09";
        assert_eq!(name(cache), "google-bert/bert-base-uncased");
        assert_eq!(name("/models/mine"), "/models/mine");
        assert!(Path::new(&name("mine")).is_absolute());
    }

    #[test]
    fn rates_fall_from_the_head_to_the_embeddings() {
        let plan = |freeze_layers| Plan {
            layers: 2,
            freeze_layers,
            head_rate_factor: 4.0,
            layer_decay: 0.5,
            adapters: None,
        };
        let rates = |freeze| {
            let names = [
                "embeddings.LayerNorm.bias",
                "encoder.layer.0.x",
                "encoder.layer.1.x",
                "encoder.LayerNorm.bias",
                "classifier.bias",
            ];
            names.map(|name| {
                let spec = ParameterSpec { name: name.into(), shape: [1].into(), kind: ParameterKind::Bias };
                plan(freeze).rate_factor(&spec)
            })
        };
        assert_eq!(rates(None), [0.125, 0.25, 0.5, 0.5, 4.0]);
        assert_eq!(rates(Some(0)), [0.0, 0.25, 0.5, 0.5, 4.0]);
        assert_eq!(rates(Some(1)), [0.0, 0.0, 0.5, 0.5, 4.0]);
        assert_eq!(rates(Some(9)), [0.0, 0.0, 0.0, 0.0, 4.0]);
    }
}
