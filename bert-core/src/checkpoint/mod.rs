//! Model files on disk, read as named tensors.
//!
//! A [`Checkpoint`] is a table of names over mapped files. Opening it reads headers and nothing else; a
//! tensor is read when it is asked for, by its canonical name and with the shape that the model needs, and
//! comes in the type in which it is stored. An f32 tensor is the file's own memory, without a copy.
//!
//! ```
//! use bert_core::checkpoint::Checkpoint;
//!
//! // Usually `Checkpoint::open("folder with a model")?`. Here, a whole safetensors file in four lines:
//! let header = br#"{"bert.pooler.dense.bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}"#;
//! let mut file = (header.len() as u64).to_le_bytes().to_vec();
//! file.extend(header);
//! file.extend([1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()));
//!
//! let checkpoint = Checkpoint::from_bytes(file)?;
//! let bias = checkpoint.tensor("pooler.dense.bias", &[2])?;
//! assert_eq!(bias.to_f32()?.as_slice(), Some(&[1.5, -2.0][..]));
//! assert!(checkpoint.optional("pooler.dense.weight", &[2, 2])?.is_none());
//! assert!(checkpoint.unused().is_empty());
//! # Ok::<(), bert_core::Error>(())
//! ```
//!
//! # Names
//! A canonical name is BERT's own name without the `bert.` in front, such as
//! `encoder.layer.0.attention.self.query.weight`. Files spell it in many ways: with `bert.` or a trainer's
//! wrapper in front, with `gamma` and `beta` for the parameters of a layer norm, or as DistilBERT does. The
//! folder `layout` has a file a family that maps them, and any spelling may be asked for.
//!
//! # Formats
//! In this order of preference:
//! * `model.safetensors`, or parts of it listed in `model.safetensors.index.json`;
//! * `pytorch_model.bin`, or parts of it listed in `pytorch_model.bin.index.json`: the zip layout of
//!   PyTorch since 1.6. The pickle in it is read as a description; nothing in it is ever executed, and
//!   anything but plain tensors is refused.
//!
//! Numbers may be f32, f16, bf16 or f64. Files and their offsets are checked before they are believed.
//!
//! [`save`] writes `model.safetensors` and `config.json`, as transformers reads them. An [`Adapter`] is what PEFT writes
//! of a model of which little was trained; [`Adapted`] is its base with that merged into it.
//!
//! # Compact checkpoints
//! A tensor `X` of type i8 with a companion `X_scale` holds rounded weights: row `r` stands for
//! `X[r] * X_scale[r]`. The scale is f32, one a row of `X`, of shape `[rows]` or `[rows, 1]`; for
//! `embeddings.word_embeddings.weight` it is called `embeddings.word_embeddings.weight_scale`. Such a tensor
//! comes as f32, and its scale is no tensor of its own.

mod adapter;
mod error;
mod explain;
pub mod files;
mod folder;
mod layout;

mod pickle;
mod safetensors;
mod save;
mod source;
mod stored;
mod torch;
mod zip;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::ModelConfig;
use crate::graph::{Head, ParameterSource, ParameterSpec};
use crate::tensor::{ByteSource, DType, HostTensor};
use crate::{Error, Result};

pub use adapter::{Adapted, Adapter, AdapterConfig, AdapterError, Selection, save_adapter};
pub use error::{
    Advice, CheckpointError, IndexError, MisshapenTensor, MissingCause, MissingTensor, Near, Origin,
    ShapeCause,
};
pub use layout::Family;
pub use pickle::PickleError;
pub use safetensors::SafetensorsError;
pub use save::{replace, save};
pub use stored::StoredType;
pub use torch::TorchError;
pub use zip::ZipError;

use explain::Known;
use folder::Found;
use layout::Layout;
use stored::Stored;

/// What the name of the scale of an int8 tensor ends with.
const SCALE: &str = "_scale";

/// The files of a checkpoint folder that are in memory, by name: what a browser has fetched.
pub type MemoryFiles = BTreeMap<String, Arc<dyn ByteSource>>;

/// The tensors of a model, by name. See the [module](self) for names and formats.
pub struct Checkpoint {
    origin: Origin,
    family: Family,
    layout: &'static Layout,
    entries: BTreeMap<String, Entry>,
}

/// All that is stored under one canonical name: one tensor, or several that have to be equal.
struct Entry {
    spellings: Vec<Spelling>,
    asked: AtomicBool,
}

struct Spelling {
    name: String,
    file: Origin,
    tensor: Stored,
    scale: Option<Stored>,
}

/// A line in the list of a checkpoint's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorInfo<'a> {
    /// The canonical name.
    pub name: &'a str,
    /// The name in the file. Where the file holds the tensor twice, the first of them.
    pub stored_name: &'a str,
    /// Where it is: one of several files, for a checkpoint in parts.
    pub file: &'a Origin,
    /// How the numbers are stored.
    pub dtype: &'a StoredType,
    /// The extents, as many as the file says.
    pub shape: &'a [usize],
    /// Whether the numbers are int8 with a scale a row, and are loaded as f32.
    pub scaled: bool,
}

impl Checkpoint {
    /// Opens the checkpoint in a folder, or a single file of one.
    ///
    /// Files are mapped, not read: they must not be overwritten in place while a tensor of them is in use.
    /// Replacing them by renaming, as downloads do, is fine.
    ///
    /// # Errors
    /// [`CheckpointError`], for a folder without weights that are read, and for a file that is damaged, cut
    /// off, or holds something else than tensors.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::new(folder::read(path)?, Origin::File(path.to_owned()))
    }

    /// Opens a checkpoint that is in memory: the bytes of a safetensors file, or of a `pytorch_model.bin`.
    /// A `&'static [u8]`, as `include_bytes!(…).as_slice()` makes one, is used in place.
    ///
    /// # Errors
    /// [`CheckpointError`], if the bytes are damaged.
    pub fn from_bytes(bytes: impl ByteSource + 'static) -> Result<Self> {
        let source: Arc<dyn ByteSource> = Arc::new(bytes);
        Self::new(folder::read_bytes(&source, &Origin::Memory)?, Origin::Memory)
    }

    /// Opens the checkpoint in a folder whose files are in memory. `folder` is what it is called in messages.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use bert_core::checkpoint::{Checkpoint, MemoryFiles};
    ///
    /// let mut files = MemoryFiles::new();
    /// files.insert("weights.gguf".to_owned(), Arc::new(vec![0u8; 16]));
    /// let error = Checkpoint::from_files("https://example.org/model", &files).err().unwrap();
    /// assert!(error.to_string().contains("no weights in https://example.org/model"));
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_files(folder: impl AsRef<Path>, files: &MemoryFiles) -> Result<Self> {
        let folder = folder.as_ref();
        Self::new(folder::read_files(folder, files)?, Origin::File(folder.to_owned()))
    }

    fn new(mut found: Vec<Found>, origin: Origin) -> Result<Self> {
        // Files list their tensors in no particular order, but messages should be the same every time.
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let (family, layout) = Layout::detect(found.iter().map(|found| found.name.as_str()));
        let mut scales = take_scales(&mut found);
        let mut entries = BTreeMap::<String, Entry>::new();
        for Found { name, file, tensor } in found {
            let entry = entries.entry(layout.canonical(&name));
            let entry =
                entry.or_insert_with(|| Entry { spellings: Vec::new(), asked: AtomicBool::new(false) });
            let scale = scales.remove(&name);
            entry.spellings.push(Spelling { name, file, tensor, scale });
        }
        Ok(Self { origin, family, layout, entries })
    }

    /// The architecture that the names in the file belong to.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The folder, file or memory that was opened.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether there is such a tensor. This is no request: the tensor still counts as unused.
    pub fn contains(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// The stored shape of a tensor, if there is one.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entry(name).map(|(_, entry)| entry.first().tensor.shape.as_slice())
    }

    /// The canonical names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// All tensors, sorted by canonical name.
    pub fn tensors(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        self.entries.iter().map(|(name, entry)| entry.info(name))
    }

    /// The tensors that nobody has asked for so far, sorted by canonical name. Buffers that say nothing
    /// about the model, such as `position_ids`, are left out.
    pub fn unused(&self) -> Vec<TensorInfo<'_>> {
        let unused = self
            .entries
            .iter()
            .filter(|(name, entry)| !entry.asked.load(Ordering::Relaxed) && !layout::is_harmless(name));
        unused.map(|(name, entry)| entry.info(name)).collect()
    }

    /// The float tensor `name`, which must have this shape, in the type in which it is stored; f32 for
    /// int8 with a scale.
    ///
    /// # Errors
    /// [`CheckpointError`]: it is missing, has another shape, holds no floats, or the file holds two
    /// different ones under spellings of this name.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<HostTensor> {
        match self.optional(name, shape)? {
            Some(tensor) => Ok(tensor),
            None => Err(self.missing(name, shape).into()),
        }
    }

    /// As [`tensor`](Self::tensor), but it may be missing.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor), but for a missing one: a tensor that is there must be right.
    pub fn optional(&self, name: &str, shape: &[usize]) -> Result<Option<HostTensor>> {
        let Some((name, entry)) = self.entry(name) else { return Ok(None) };
        entry.asked.store(true, Ordering::Relaxed);
        let (first, others) = (entry.first(), &entry.spellings[1..]);
        if let Some(other) = others.iter().find(|other| !first.equals(other)) {
            return Err(CheckpointError::Conflict {
                file: first.file.clone(),
                name: name.to_owned(),
                first: first.name.clone(),
                second: other.name.clone(),
            }
            .into());
        }
        if first.tensor.shape != shape {
            return Err(self.misshapen(name, first, shape).into());
        }
        first.load().map(Some)
    }

    /// How many numbers of which tensors are infinite or not a number, by canonical name; empty for a
    /// sound checkpoint. This reads every float tensor once and keeps none in memory.
    pub fn non_finite(&self) -> Vec<(&str, usize)> {
        let counts = self.entries.iter().map(|(name, entry)| (name.as_str(), entry.first().non_finite()));
        counts.filter(|&(_, count)| count > 0).collect()
    }

    fn entry(&self, name: &str) -> Option<(&str, &Entry)> {
        let (name, entry) = self.entries.get_key_value(&self.layout.canonical(name))?;
        Some((name, entry))
    }

    fn missing(&self, name: &str, shape: &[usize]) -> CheckpointError {
        let name = self.layout.canonical(name);
        let known = self.tensors().map(|info| Known {
            canonical: info.name,
            stored: info.stored_name,
            shape: info.shape,
        });
        CheckpointError::Missing(Box::new(MissingTensor {
            file: self.origin.clone(),
            shape: shape.to_vec(),
            family: self.family,
            count: self.entries.len(),
            nearest: explain::nearest(&name, known),
            cause: explain::missing(&name, self.family, self.layout, self.entries.keys().map(String::as_str)),
            name,
        }))
    }

    fn misshapen(&self, name: &str, spelling: &Spelling, expected: &[usize]) -> CheckpointError {
        let found = &spelling.tensor.shape;
        CheckpointError::Misshapen(Box::new(MisshapenTensor {
            file: spelling.file.clone(),
            name: name.to_owned(),
            stored_name: spelling.name.clone(),
            family: self.family,
            expected: expected.to_vec(),
            found: found.clone(),
            cause: explain::misshapen(name, expected, found),
        }))
    }
}

/// What the family of a configuration calls a parameter, in a checkpoint with a head or without one:
/// `bert.pooler.dense.bias` for `pooler.dense.bias`.
pub fn stored_name(config: &ModelConfig, canonical: &str, has_head: bool) -> String {
    Layout::of(config.model_type).stored(canonical, has_head)
}

impl ParameterSource for Checkpoint {
    fn parameter(&self, spec: &ParameterSpec) -> Result<HostTensor> {
        self.tensor(&spec.name, &spec.shape)
    }

    fn optional(&self, spec: &ParameterSpec) -> Result<Option<HostTensor>> {
        Checkpoint::optional(self, &spec.name, &spec.shape)
    }

    /// [`Error::WrongHead`] if the checkpoint says that it was made for another task, and does not have this one's
    /// tensors all the same.
    fn check_head(&self, config: &ModelConfig, asked: Head) -> Result<()> {
        let mut own = asked.own_tensors().peekable();
        let has_own = own.peek().is_some() && own.all(|name| self.contains(name));
        match Head::of(config).filter(|made_for| !has_own && !made_for.serves(asked)) {
            Some(made_for) => {
                Err(Error::WrongHead { asked, found: config.architectures.join(", "), made_for })
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, family, entries, .. } = self;
        write!(f, "Checkpoint({origin}, {family}, {} tensors)", entries.len())
    }
}

impl Entry {
    /// The one to use: an entry is made for a tensor, and keeps it.
    fn first(&self) -> &Spelling {
        &self.spellings[0]
    }

    fn info<'a>(&'a self, name: &'a str) -> TensorInfo<'a> {
        let Spelling { name: stored_name, file, tensor, scale } = self.first();
        TensorInfo {
            name,
            stored_name,
            file,
            dtype: &tensor.dtype,
            shape: &tensor.shape,
            scaled: scale.is_some(),
        }
    }
}

impl Spelling {
    fn load(&self) -> Result<HostTensor> {
        match (&self.tensor.dtype, &self.scale) {
            (StoredType::Native(DType::I8), Some(scale)) => {
                let rows = self.rows();
                if scale.dtype != StoredType::Native(DType::F32)
                    || ![&[rows][..], &[rows, 1]].contains(&&scale.shape[..])
                {
                    return Err(CheckpointError::Scale {
                        file: self.file.clone(),
                        name: self.name.clone(),
                        rows,
                        found: scale.dtype.clone(),
                        shape: scale.shape.clone(),
                    }
                    .into());
                }
                self.tensor.dequantise(scale)
            }
            (&StoredType::Native(dtype), _) if self.tensor.dtype.is_float() => self.tensor.load(dtype),
            (found, _) => Err(CheckpointError::NotFloat {
                file: self.file.clone(),
                name: self.name.clone(),
                found: found.clone(),
            }
            .into()),
        }
    }

    /// The rows of a matrix; a vector has one number a row.
    fn rows(&self) -> usize {
        self.tensor.shape.first().copied().unwrap_or(1)
    }

    fn equals(&self, other: &Self) -> bool {
        let scales = match (&self.scale, &other.scale) {
            (Some(one), Some(two)) => one.equals(two),
            (None, None) => true,
            _ => false,
        };
        scales && self.tensor.equals(&other.tensor)
    }

    /// A scale that is not a number spoils its whole row.
    fn non_finite(&self) -> usize {
        let width = self.tensor.shape.iter().skip(1).product::<usize>();
        let count =
            self.tensor.non_finite() + self.scale.as_ref().map_or(0, |scale| scale.non_finite() * width);
        self.tensor.release();
        count
    }
}

/// Takes the scales of int8 tensors out of the list, by the stored names of those tensors.
fn take_scales(found: &mut Vec<Found>) -> HashMap<String, Stored> {
    let int8 = |found: &&Found| found.tensor.dtype == StoredType::Native(DType::I8);
    let mut wanted: HashMap<String, String> = found
        .iter()
        .filter(int8)
        .map(|found| (format!("{}{SCALE}", found.name), found.name.clone()))
        .collect();
    let mut scales = HashMap::new();
    found.retain(|found| match wanted.remove(&found.name) {
        Some(scaled) => {
            scales.insert(scaled, found.tensor.clone());
            false
        }
        None => true,
    });
    scales
}
