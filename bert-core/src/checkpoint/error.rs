//! What can be wrong with a checkpoint.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::adapter::AdapterError;
use super::files::WEIGHTS;
use super::layout::Family;
use super::safetensors::SafetensorsError;
use super::stored::StoredType;
use super::torch::TorchError;

/// Why a checkpoint cannot be opened, or a tensor cannot be taken from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file or folder cannot be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The folder, or the file, holds no weights in a format that is read.
    #[error(
        "no weights in {}: looked for {}; found {}{advice}", .path.display(), WEIGHTS.join(", "), Listing(.found)
    )]
    NoWeights {
        /// The folder or file.
        path: PathBuf,
        /// What is there instead, sorted.
        found: Vec<String>,
        /// What to do about it.
        advice: Advice,
    },

    /// The file is the few lines that git keeps in place of a large file.
    #[error("{} is a Git LFS pointer, not the weights themselves: run `git lfs pull` in its folder", .path.display())]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },

    /// A safetensors file is damaged.
    #[error("{file} is not a usable safetensors file")]
    Safetensors {
        /// The file.
        file: Origin,
        /// What is wrong with it.
        source: SafetensorsError,
    },

    /// A PyTorch file is damaged, dangerous or of an unknown layout.
    #[error("{file} is not a usable PyTorch file")]
    Torch {
        /// The file.
        file: Origin,
        /// What is wrong with it.
        source: TorchError,
    },

    /// The list of the parts of a checkpoint cannot be used.
    #[error("{} is not a usable index of a sharded checkpoint", .path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// What is wrong with it.
        source: IndexError,
    },

    /// A tensor that the model needs is not there.
    #[error(transparent)]
    Missing(Box<MissingTensor>),

    /// A tensor has another shape than the model needs.
    #[error(transparent)]
    Misshapen(Box<MisshapenTensor>),

    /// A tensor holds numbers of a kind that weights cannot be.
    #[error(
        "{file}: tensor {name:?} holds {found}; weights are f32, f16, bf16, f64, or i8 with one scale per row"
    )]
    NotFloat {
        /// Where the tensor is.
        file: Origin,
        /// Its stored name.
        name: String,
        /// What it holds.
        found: StoredType,
    },

    /// An int8 tensor whose scale is there, but of another type or shape.
    #[error(
        "{file}: the scale of {name:?} should be f32 of shape [{rows}] or [{rows}, 1], but is {found} of \
         shape {shape:?}"
    )]
    Scale {
        /// Where the tensor is.
        file: Origin,
        /// The stored name of the quantised tensor.
        name: String,
        /// Its rows.
        rows: usize,
        /// The type of the scale.
        found: StoredType,
        /// The shape of the scale.
        shape: Vec<usize>,
    },

    /// Two stored tensors are the same tensor by name, but hold different numbers.
    #[error(
        "{file}: {first:?} and {second:?} are two spellings of one tensor, {name}, but differ in content; \
         remove the wrong one"
    )]
    Conflict {
        /// Where the first one is.
        file: Origin,
        /// The canonical name.
        name: String,
        /// One stored name.
        first: String,
        /// Another stored name.
        second: String,
    },

    /// An adapter that cannot be used.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

/// Where a checkpoint's bytes come from, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// Bytes in memory.
    Memory,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory => f.write_str("the checkpoint in memory"),
        }
    }
}

/// Why the index of a checkpoint in parts cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// Larger than any real index.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The largest one that is read, in bytes.
        limit: u64,
    },
    /// No JSON object with a `weight_map`.
    #[error("it is not a JSON object with a weight_map of names to files")]
    Json(#[source] serde_json::Error),
    /// A part that would lie outside the folder of the index.
    #[error("it names the shard {part:?}; shards must be plain file names in the folder of the index")]
    Escapes {
        /// The name.
        part: String,
    },
    /// A part does not hold what the index says.
    #[error("tensor {tensor:?} should be in {part:?}, but is not; download both again")]
    NotInPart {
        /// The stored name of the tensor.
        tensor: String,
        /// The file name of the part.
        part: String,
    },
    /// The index is there, but a part is not.
    #[error("shard {part:?} ({number} of {count}) is missing; download it into the same folder")]
    MissingPart {
        /// The file name of the part.
        part: String,
        /// Its place in the sorted list of parts, from 1.
        number: usize,
        /// How many parts there are.
        count: usize,
    },
}

/// What to do with a folder that holds weights in another format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// TensorFlow: `tf_model.h5` or `*.ckpt.*`.
    TensorFlow,
    /// Flax: `flax_model.msgpack`.
    Flax,
    /// An ONNX graph.
    Onnx,
    /// GGUF or GGML.
    Gguf,
    /// A PyTorch file under another name.
    RenameTorch,
    /// A safetensors file under another name.
    RenameSafetensors,
    /// Nothing that looks like weights.
    NotWeights,
}

impl Advice {
    /// The advice for a folder that holds these files.
    pub(super) fn from_names<'a>(names: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        let table = [
            (&[".safetensors"][..], Self::RenameSafetensors),
            (&[".bin", ".pt", ".pth"], Self::RenameTorch),
            (&[".h5", ".ckpt", ".index", ".meta"], Self::TensorFlow),
            (&[".msgpack"], Self::Flax),
            (&[".onnx"], Self::Onnx),
            (&[".gguf", ".ggml"], Self::Gguf),
        ];
        let found = |endings: &[&str]| {
            names.clone().into_iter().any(|name| endings.iter().any(|ending| name.ends_with(ending)))
        };
        table.into_iter().find(|(endings, _)| found(endings)).map_or(Self::NotWeights, |(_, advice)| advice)
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TensorFlow => {
                ". These are TensorFlow weights, which are not supported: convert them once in Python, with \
                 transformers 4 and `from_pretrained(folder, from_tf=True).save_pretrained(folder)`"
            }
            Self::Flax => {
                ". These are Flax weights, which are not supported: convert them once in Python, with \
                 transformers 4 and `from_pretrained(folder, from_flax=True).save_pretrained(folder)`"
            }
            Self::Onnx => {
                ". ONNX is not supported: use the model.safetensors of the model that it was exported from"
            }
            Self::Gguf => {
                ". GGUF is not supported: use the model.safetensors of the model that it was made from"
            }
            Self::RenameTorch => {
                ". If one of these holds the weights, give its path, or rename it to pytorch_model.bin"
            }
            Self::RenameSafetensors => {
                ". If one of these holds the weights, give its path, or rename it to model.safetensors"
            }
            Self::NotWeights => "",
        })
    }
}

/// A list of file names, cut where it gets long.
struct Listing<'a>(&'a [String]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (i, name) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { ", " }, name.escape_debug())?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A tensor of the file that resembles one that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// Its stored name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// A tensor that was asked for and is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct MissingTensor {
    /// Where it was looked for.
    pub file: Origin,
    /// Its canonical name.
    pub name: String,
    /// The shape that it should have.
    pub shape: Vec<usize>,
    /// What the names in the file look like.
    pub family: Family,
    /// How many tensors there are.
    pub count: usize,
    /// The most similar ones, the nearest first.
    pub nearest: Vec<Near>,
    /// The likely cause.
    pub cause: Option<MissingCause>,
}

/// Why a tensor may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingCause {
    /// The family of the file never has it.
    NotInFamily {
        /// The family.
        family: Family,
    },
    /// The file ends before this layer.
    FewerLayers {
        /// How many layers the file holds.
        found: usize,
    },
    /// No tensor of this head, or of the pooler, is there.
    NoHead {
        /// The first part of the canonical name.
        head: String,
    },
    /// The file holds the name behind a prefix that means another architecture, or an unknown wrapper.
    Prefix {
        /// The prefix.
        prefix: String,
    },
}

impl fmt::Display for MissingCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInFamily { family } => {
                write!(f, "{family} has no such tensor: check model_type in config.json")
            }
            Self::FewerLayers { found } => {
                write!(f, "the file holds {found} layers: check num_hidden_layers in config.json")
            }
            Self::NoHead { head } => write!(
                f,
                "the checkpoint was saved without any `{head}`: choose one that was trained for this task"
            ),
            Self::Prefix { prefix } => {
                write!(f, "the names begin with {prefix:?}: another architecture, or an unknown wrapper")
            }
        }
    }
}

impl fmt::Display for MissingTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, name, shape, family, count, nearest, cause } = self;
        write!(
            f,
            "{file}: tensor {name} of shape {shape:?} is missing from {count} tensors (family: {family})"
        )?;
        if let Some(cause) = cause {
            write!(f, "; {cause}")?;
        }
        for (i, Near { name, shape }) in nearest.iter().enumerate() {
            write!(f, "{}{name:?} {shape:?}", if i == 0 { "; nearest: " } else { ", " })?;
        }
        Ok(())
    }
}

/// A tensor that has another shape than was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{file}: tensor {stored_name:?} ({name}; family: {family}) should have shape {expected:?}, but has \
     {found:?}; {cause}"
)]
pub struct MisshapenTensor {
    /// Where the tensor is.
    pub file: Origin,
    /// Its canonical name.
    pub name: String,
    /// Its name in the file.
    pub stored_name: String,
    /// What the names in the file look like.
    pub family: Family,
    /// The shape that was asked for.
    pub expected: Vec<usize>,
    /// The shape that it has.
    pub found: Vec<usize>,
    /// The likely cause.
    pub cause: ShapeCause,
}

/// Why a tensor may have another shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeCause {
    /// The axes are the expected ones in reverse order.
    Transposed,
    /// This field of `config.json` belongs to another checkpoint.
    Config(&'static str),
}

impl fmt::Display for ShapeCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transposed => {
                f.write_str("it looks transposed, as TensorFlow stores it: convert the checkpoint again")
            }
            Self::Config(field) => {
                write!(f, "check {field} in config.json: it must match these weights")
            }
        }
    }
}
