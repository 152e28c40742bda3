//! The folder of a run: the model that comes out, with what belongs to it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use bert_core::ModelConfig;
use bert_core::checkpoint;
use bert_core::graph::{Head, Initial, ParameterKind, ParameterSource, ParameterSpec};
use bert_core::tensor::HostTensor;

use super::TrainingError;
use super::engine::Engine;
use super::plan::Plan;
use crate::pretrained::ModelSource;
use crate::{Pretrained, Result};

/// The files of a tokenizer, whichever of them a model has.
const TOKENIZER: [&str; 8] = [
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
];

/// Writes the model as it is now, loadable as any other; where adapters train, these alone.
pub fn save_model(
    folder: &Path,
    base: &Pretrained,
    config: &ModelConfig,
    head: Head,
    engine: &dyn Engine,
    plan: &Plan,
) -> Result<()> {
    match plan.adapters() {
        Some(adapters) => {
            let adapter = adapters.config(base.source(), head);
            checkpoint::save_adapter(folder, config, head, &adapter, &engine.trained()?)?;
        }
        None => {
            let named = engine.parameters()?.into_iter().map(|(spec, tensor)| (spec.name, tensor)).collect();
            checkpoint::save(folder, config, head, &InMemory(named))?;
        }
    }
    copy_tokenizer(base.source(), folder)
}

/// Writes the files of a model's tokenizer to a folder.
///
/// # Errors
/// A file that cannot be read or written.
pub fn copy_tokenizer(source: &ModelSource, folder: &Path) -> Result<()> {
    for name in TOKENIZER {
        let path = folder.join(name);
        let fail = |source| TrainingError::Folder { action: "write", path: path.clone(), source };
        let bytes = match source {
            ModelSource::Folder(from) => match fs::read(from.join(name)) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(source) => {
                    return Err(
                        TrainingError::Folder { action: "read", path: from.join(name), source }.into()
                    );
                }
            },
            ModelSource::Embedded(model) => match name {
                "vocab.txt" => Some(model.vocab.as_bytes().to_vec()),
                "tokenizer_config.json" => Some(model.tokenizer_config.as_bytes().to_vec()),
                _ => None,
            },
            ModelSource::Memory(model) => model.file(name).map(<[u8]>::to_vec),
        };
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).map_err(fail)?;
        }
    }
    Ok(())
}

/// Writes further files beside a model, in folders of their own where their names say so.
pub fn save_files(folder: &Path, files: &[(String, String)]) -> Result<()> {
    for (name, text) in files {
        let path = folder.join(name);
        let fail = |source| TrainingError::Folder { action: "write", path: path.clone(), source };
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(fail)?;
        fs::write(&path, text).map_err(fail)?;
    }
    Ok(())
}

/// Removes what writes that were killed have left half done. What cannot be removed does no harm.
pub fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours = [
            "state.safetensors.",
            "model.safetensors.",
            "config.json.",
            "adapter_model.safetensors.",
            "adapter_config.json.",
        ];
        let ours = name.ends_with(".incomplete") && ours.iter().any(|ours| name.starts_with(ours));
        // The format's writer begins with such a name.
        let writers = name.len() == ".tmpAbCdEf".len() && name.starts_with(".tmp");
        if ours || writers {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Parameters that were brought back from a device.
struct InMemory(HashMap<String, HostTensor>);

impl ParameterSource for InMemory {
    fn parameter(&self, spec: &ParameterSpec) -> bert_core::Result<HostTensor> {
        Ok(self.0.get(&spec.name).cloned().expect("a model has all of its parameters"))
    }

    fn optional(&self, spec: &ParameterSpec) -> bert_core::Result<Option<HostTensor>> {
        Ok(self.0.get(&spec.name).cloned())
    }
}

/// A checkpoint to begin with: the encoder is its own, and so is the head if it has one of that kind and size; else the
/// head is fresh.
pub struct Beginning<'a> {
    base: &'a Pretrained,
    fresh: Initial,
    /// Whether the head of the checkpoint is the one that is trained.
    has_head: bool,
}

impl<'a> Beginning<'a> {
    pub fn new(base: &'a Pretrained, config: &ModelConfig, head: Head, seed: u64) -> Self {
        let made_for = Head::of(base.config());
        let has_head =
            made_for.is_some_and(|made_for| made_for.serves(head)) && base.config().labels == config.labels;
        Self { base, fresh: Initial::new(seed, config.initializer_range), has_head }
    }

    /// Whether a parameter is the checkpoint's.
    pub fn keeps(&self, spec: &ParameterSpec) -> bool {
        if matches!(spec.kind, ParameterKind::LoraA | ParameterKind::LoraB) {
            return false;
        }
        let encoder = ["embeddings", "encoder."].iter().any(|part| spec.name.starts_with(part));
        // A pooler is trained with the encoder; a head of another kind may have a tensor of the same name.
        let kept = self.has_head || ["pooler.", "cls."].iter().any(|part| spec.name.starts_with(part));
        encoder || (kept && matches!(self.base.parameters().optional(spec), Ok(Some(_))))
    }
}

impl ParameterSource for Beginning<'_> {
    fn parameter(&self, spec: &ParameterSpec) -> bert_core::Result<HostTensor> {
        match self.keeps(spec) {
            true => self.base.parameters().parameter(spec),
            false => self.fresh.parameter(spec),
        }
    }

    fn optional(&self, spec: &ParameterSpec) -> bert_core::Result<Option<HostTensor>> {
        match self.keeps(spec) {
            true => self.base.parameters().optional(spec),
            false => Ok(None),
        }
    }
}
