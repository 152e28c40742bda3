//! A model as files: `config.json` and `model.safetensors`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensorError, View};

use super::error::CheckpointError;
use super::layout::Layout;
use crate::config::ModelConfig;
use crate::graph::{self, Head, ParameterSource, ParameterSpec};
use crate::tensor::DType;
use crate::{Error, Result};

/// Writes a model into a folder, which is made if need be: every parameter of a model with this head, in the type in
/// which the source has it, and its configuration. Files that are there are replaced as a whole, or not at all.
///
/// ```
/// use bert_core::checkpoint::{self, Checkpoint};
/// use bert_core::graph::{Head, Initial};
/// use bert_core::ModelConfig;
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let config = r#"{"vocab_size": 50, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}"#;
/// let config = ModelConfig::from_json(config)?;
/// checkpoint::save(folder, &config, Head::MaskedLm, &Initial::new(7, config.initializer_range))?;
///
/// let saved = Checkpoint::open(folder)?;
/// assert_eq!(ModelConfig::from_folder(folder)?.architectures, ["BertForMaskedLM"]);
/// assert_eq!(saved.shape("embeddings.word_embeddings.weight"), Some(&[50, 8][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`CheckpointError::Io`] for a folder that cannot be written, a full disk; what the source says.
pub fn save(folder: &Path, config: &ModelConfig, head: Head, source: &dyn ParameterSource) -> Result<()> {
    let mut config = ModelConfig { architectures: vec![head.class(config)], ..config.clone() };
    config.tie_word_embeddings &= !has_own_decoder(&config, head, source)?;
    let layout = Layout::of(config.model_type);
    let failed = RefCell::new(None);
    let mut tensors = vec![];
    for spec in graph::parameters(&config, head)? {
        // The pooler is no part of hidden states: a source may lack it.
        if head == Head::None && spec.name.starts_with("pooler.") && source.optional(&spec)?.is_none() {
            continue;
        }
        let name = layout.stored(&spec.name, head != Head::None);
        let dtype = source.parameter(&spec)?.dtype();
        // Where the decoder is not tied, transformers reads its bias by the second name, and only there.
        let alias = layout.alias(&spec.name).filter(|_| !config.tie_word_embeddings);
        for name in [Some(name), alias.map(str::to_owned)].into_iter().flatten() {
            tensors.push((name, Saved { spec: spec.clone(), dtype, source, failed: &failed }));
        }
    }
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    let weights = folder.join("model.safetensors");
    replace_with(&weights, |path| {
        // transformers asks for the format.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let written = safetensors::serialize_to_file(tensors, Some(metadata), path);
        if let Some(error) = failed.take() {
            return Err(error);
        }
        written.map_err(|error| match error {
            SafeTensorError::IoError(error) => unwritable(&weights, error),
            other => unwritable(&weights, io::Error::other(other)),
        })
    })?;
    let path = folder.join("config.json");
    replace(&path, |temporary| File::create(temporary)?.write_all(config.to_json().as_bytes()))
}

/// Whether the masked-LM decoder is another matrix than the word embeddings, whatever the configuration says.
fn has_own_decoder(config: &ModelConfig, head: Head, source: &dyn ParameterSource) -> Result<bool> {
    let untied = ModelConfig { tie_word_embeddings: false, ..config.clone() };
    let tied = graph::parameters(config, head)?;
    let own = graph::parameters(&untied, head)?.into_iter().find(|spec| !tied.contains(spec));
    let Some(own) = own.map(|spec| source.optional(&spec)).transpose()?.flatten() else { return Ok(false) };
    let words = tied.iter().find(|spec| spec.shape == own.shape()).expect("tied to a table");
    Ok(source.parameter(words)?.bytes() != own.bytes())
}

/// Writes a file as a whole or not at all: `write` is given a name beside `path`, and what it has written there is put
/// into its place.
///
/// # Errors
/// [`CheckpointError::Write`] with what the system said.
pub fn replace(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    replace_with(path, |temporary| write(temporary).map_err(|error| unwritable(path, error)))
}

fn replace_with(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name = path.file_name().expect("a file").to_owned();
    name.push(format!(".{}.incomplete", std::process::id()));
    let temporary = path.with_file_name(name);
    // A writer may put a file of its own into the place, which nobody else may read: the model is to be as readable as
    // any other file.
    let begin = || -> io::Result<fs::Permissions> { Ok(File::create(&temporary)?.metadata()?.permissions()) };
    let in_place = |usual| -> io::Result<()> {
        fs::set_permissions(&temporary, usual)?;
        File::open(&temporary)?.sync_all()?; // before the name says that it is whole
        fs::rename(&temporary, path)
    };
    let done = begin().map_err(|error| unwritable(path, error)).and_then(|usual| {
        write(&temporary)?;
        in_place(usual).map_err(|error| unwritable(path, error))
    });
    if done.is_err() {
        let _ = fs::remove_file(&temporary); // the first error is the one to tell
    }
    done
}

fn unwritable(path: &Path, source: io::Error) -> Error {
    CheckpointError::Write { path: path.to_owned(), source }.into()
}

/// A parameter that is read when it is written, so that a model never lies in memory as a whole.
struct Saved<'a> {
    spec: ParameterSpec,
    dtype: DType,
    source: &'a dyn ParameterSource,
    /// What went wrong on the way, which the format's writer has no word for.
    failed: &'a RefCell<Option<Error>>,
}

impl View for Saved<'_> {
    fn dtype(&self) -> Dtype {
        match self.dtype {
            DType::F64 => Dtype::F64,
            DType::F16 => Dtype::F16,
            DType::Bf16 => Dtype::BF16,
            _ => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.spec.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.source.parameter(&self.spec) {
            Ok(tensor) => Cow::Owned(tensor.bytes().to_vec()),
            Err(error) => {
                self.failed.borrow_mut().get_or_insert(error);
                Cow::Owned(vec![0; self.data_len()])
            }
        }
    }

    fn data_len(&self) -> usize {
        self.spec.shape.elements() * self.dtype.size()
    }
}
