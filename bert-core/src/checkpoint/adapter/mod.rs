//! Low-rank adapters as PEFT lays them out: a folder with `adapter_config.json` and `adapter_model.safetensors`.
//!
//! An adapter is merged when its model is loaded: what a backend is given is `W + scale * B A` in `f32`, so that an
//! adapted model is as fast as any other, and has the bits of one that was merged into a checkpoint.

mod config;
mod error;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use ndarray::Array2;
use safetensors::tensor::{Dtype, TensorView};

use super::{Checkpoint, CheckpointError, replace};
use crate::Result;
use crate::checkpoint::layout::Layout;
use crate::config::ModelConfig;
use crate::graph::{self, Head, LORA_A, LORA_B, ParameterKind, ParameterSource, ParameterSpec};
use crate::tensor::{DType, HostTensor};

pub use config::AdapterConfig;
pub use error::AdapterError;
pub use select::Selection;

const CONFIG: &str = "adapter_config.json";
/// The files that may hold the numbers, the best first.
const WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];
/// What PEFT puts before the name of a module.
const PREFIX: &str = "base_model.model.";
/// The decoder of masked words, which has a weight of its own only where it is not tied.
const DECODER: &str = "cls.predictions.decoder.weight";
/// What it is tied to.
const WORDS: &str = "embeddings.word_embeddings.weight";

/// An adapter, opened: its configuration is read, its weights are mapped.
#[derive(Debug)]
pub struct Adapter {
    config: AdapterConfig,
    tensors: Checkpoint,
    /// The `config.json` beside it, which PEFT does not write.
    model: Option<ModelConfig>,
}

impl Adapter {
    /// Whether a folder holds an adapter.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(CONFIG).is_file()
    }

    /// Opens the adapter in a folder.
    ///
    /// # Errors
    /// [`AdapterError`] for a folder without one, and for one that cannot be used; what is wrong with its weights.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG);
        let text = fs::read_to_string(&path)
            .map_err(|source| AdapterError::Read { file: path.display().to_string(), source })
            .map_err(CheckpointError::Adapter)?;
        let config = AdapterConfig::from_json(&text).map_err(CheckpointError::Adapter)?;
        let weights = WEIGHTS.map(|name| folder.join(name));
        let weights = weights.iter().find(|path| path.exists()).unwrap_or(&weights[0]);
        let model =
            folder.join("config.json").is_file().then(|| ModelConfig::from_folder(folder)).transpose()?;
        Ok(Self { config, tensors: Checkpoint::open(weights)?, model })
    }

    /// What it is.
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// The configuration of the adapted model, given that of its base: the head and the labels are the adapter's. Where
    /// it does not say how they are called, they are `LABEL_0` and so on, as in transformers.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a head that the family does not have.
    pub fn configure(&self, base: &ModelConfig) -> Result<ModelConfig> {
        if let Some(ModelConfig { labels, problem_type, architectures, .. }) = &self.model {
            return Ok(ModelConfig {
                labels: labels.clone(),
                problem_type: *problem_type,
                architectures: architectures.clone(),
                ..base.clone()
            });
        }
        let mut config = base.clone();
        match self.config.head {
            Some(head) => config.architectures = vec![head.class(base)],
            // It may be another one than the base's.
            None if !self.config.modules_to_save.is_empty() => config.architectures.clear(),
            None => {}
        }
        let head = self.config.head.unwrap_or(Head::None);
        for spec in graph::parameters(&config, head)? {
            if let Some(&[rows, columns]) = self.tensors.shape(&spec.name)
                && spec.kind == ParameterKind::Weight
                && rows != spec.shape[0]
                && columns == spec.shape[1]
            {
                config.labels = (0..rows).map(|label| format!("LABEL_{label}")).collect();
            }
        }
        Ok(config)
    }
}

/// The parameters of a checkpoint with those of an adapter merged into them. Many may share one checkpoint.
#[derive(Clone, Debug)]
pub struct Adapted {
    base: Arc<Checkpoint>,
    adapter: Arc<Adapter>,
    /// The layers that are adapted, with the rank of what is added to their weights, and its factor.
    layers: BTreeMap<String, (usize, f32)>,
}

impl Adapted {
    /// Joins the two. `config` is that of the [adapted model](Adapter::configure).
    ///
    /// # Errors
    /// [`AdapterError::Stray`] for an adapter of another model, [`AdapterError::Unpaired`].
    pub fn new(base: Arc<Checkpoint>, adapter: Arc<Adapter>, config: &ModelConfig) -> Result<Self> {
        let heads = Head::ALL.iter().filter_map(|&head| graph::parameters(config, head).ok());
        let known: BTreeSet<_> = heads.flatten().map(|spec| spec.name).chain([DECODER.to_owned()]).collect();
        let fail = |error| Err(CheckpointError::Adapter(error).into());
        let mut layers = BTreeMap::new();
        for info in adapter.tensors.tensors() {
            let layer = [LORA_A, LORA_B].iter().find_map(|end| info.name.strip_suffix(end));
            let whole = layer.map_or(info.name.to_owned(), |layer| format!("{layer}.weight"));
            if !known.contains(&whole) {
                return fail(AdapterError::Stray { name: info.stored_name.to_owned() });
            }
            let Some(layer) = layer else { continue };
            let shape = |end| adapter.tensors.shape(&format!("{layer}{end}"));
            let rank = match (shape(LORA_A), shape(LORA_B)) {
                (Some(&[rank, _]), Some(&[_, same])) if rank == same && rank > 0 => rank,
                _ => return fail(AdapterError::Unpaired { layer: layer.to_owned() }),
            };
            // Patterns mean the names that PEFT has.
            if let Some(name) = info.stored_name.strip_suffix(LORA_A) {
                let scale = adapter.config.scale(name.strip_prefix(PREFIX).unwrap_or(name), rank);
                layers.insert(layer.to_owned(), (rank, scale as f32));
            }
        }
        Ok(Self { base, adapter, layers })
    }

    /// The adapter.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// The weight of a layer, with what the adapter adds to it.
    fn merged(&self, spec: &ParameterSpec, layer: &str, (rank, scale): (usize, f32)) -> Result<HostTensor> {
        let matrix = |end: &str, shape: [usize; 2]| -> Result<Array2<f32>> {
            let tensor = self.adapter.tensors.tensor(&format!("{layer}{end}"), &shape)?;
            let numbers = tensor.to_f32()?.into_owned();
            Ok(numbers.into_dimensionality().expect("two extents"))
        };
        let product = matrix(LORA_B, [spec.shape[0], rank])?.dot(&matrix(LORA_A, [rank, spec.shape[1]])?);
        let weight = match ParameterSource::optional(&*self.base, spec)? {
            // A tied decoder that is adapted is a matrix of its own.
            None if spec.name == DECODER => self.base.tensor(WORDS, &spec.shape)?,
            None => self.base.parameter(spec)?, // says that it is missing
            Some(weight) => weight,
        };
        let mut sum = weight.to_f32()?.into_owned();
        weight.release();
        sum.zip_mut_with(&product.into_dyn(), |weight, product| *weight += scale * product);
        HostTensor::from_array(sum)
    }
}

impl ParameterSource for Adapted {
    fn parameter(&self, spec: &ParameterSpec) -> Result<HostTensor> {
        match self.optional(spec)? {
            Some(tensor) => Ok(tensor),
            None => self.base.parameter(spec),
        }
    }

    fn optional(&self, spec: &ParameterSpec) -> Result<Option<HostTensor>> {
        let tensors = &self.adapter.tensors;
        if let Some(whole) = ParameterSource::optional(tensors, spec)? {
            return Ok(Some(whole));
        }
        let layer = spec.name.strip_suffix(".weight").filter(|_| spec.kind == ParameterKind::Weight);
        match layer.and_then(|layer| self.layers.get_key_value(layer)) {
            Some((layer, of_layer)) => self.merged(spec, layer, *of_layer).map(Some),
            None => ParameterSource::optional(&*self.base, spec),
        }
    }

    fn check_head(&self, config: &ModelConfig, head: Head) -> Result<()> {
        self.base.check_head(config, head)
    }
}

/// Writes an adapter into a folder, which is made if need be: `adapter_config.json` and `adapter_model.safetensors` as
/// PEFT reads them, and the `config.json` of the adapted model, which says how its labels are called. The parameters
/// are those of [`graph::lora`], and others that were trained as a whole.
///
/// # Errors
/// A folder that cannot be written.
pub fn save_adapter(
    folder: &Path,
    config: &ModelConfig,
    head: Head,
    adapter: &AdapterConfig,
    parameters: &[(ParameterSpec, HostTensor)],
) -> Result<()> {
    let config = ModelConfig { architectures: vec![head.class(config)], ..config.clone() };
    let layout = Layout::of(config.model_type);
    fs::create_dir_all(folder)
        .map_err(|source| CheckpointError::Write { path: folder.to_owned(), source })?;
    let tensors: BTreeMap<_, _> = parameters
        .iter()
        .map(|(spec, tensor)| {
            let name = format!("{PREFIX}{}", layout.stored(&spec.name, head != Head::None));
            let dtype = if tensor.dtype() == DType::F64 { Dtype::F64 } else { Dtype::F32 };
            let view = TensorView::new(dtype, spec.shape.to_vec(), tensor.bytes());
            (name, view.expect("as long as it says"))
        })
        .collect();
    replace(&folder.join(WEIGHTS[0]), |temporary| {
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        safetensors::serialize_to_file(tensors, Some(metadata), temporary).map_err(io::Error::other)
    })?;
    for (file, text) in
        [(CONFIG, adapter.to_json(&config.architectures[0])), ("config.json", config.to_json())]
    {
        replace(&folder.join(file), |path| fs::File::create(path)?.write_all(text.as_bytes()))?;
    }
    Ok(())
}
