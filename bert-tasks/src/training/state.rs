//! From what a run goes on: masters and moments of what trains, and how far it is, in one file that is replaced as a
//! whole.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bert_core::checkpoint::{self, Checkpoint};
use bert_core::graph::{ParameterSource, ParameterSpec};
use bert_core::tensor::{DType, HostTensor};
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::engine::Engine;
use super::{Evaluation, TrainOptions, TrainingError};
use crate::Result;

/// The file of a state in the folder of a run.
pub const FILE: &str = "state.safetensors";
/// The key of [`Progress`] in its header.
const KEY: &str = "run";
/// The longest header that is read; one of a thousand parameters takes 300 kB.
const MAX_HEADER: u64 = 64 << 20;

/// How far a run is, and what must be the same when it goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps that are done.
    pub step: u64,
    /// The best evaluation so far.
    pub best: Option<Evaluation>,
    /// Evaluations since then.
    pub since_best: u64,
    /// The settings.
    pub options: TrainOptions,
    /// How many examples an epoch has.
    pub examples: usize,
    /// What tells them from others. States that older versions saved have none.
    #[serde(default)]
    pub contents: Option<String>,
    /// What tells the teacher from others, if there is one.
    #[serde(default)]
    pub teacher: Option<String>,
    /// The model, as its `config.json` has it.
    pub config: String,
    /// The name of the backend: other ones round in another way.
    pub backend: String,
}

impl Progress {
    /// Whether a run with this beginning is the one that was saved.
    pub fn continues(&self, begun: &Self) -> Result<(), TrainingError> {
        let other = |what, was: &dyn ToString, now: &dyn ToString| {
            let (was, now) = (was.to_string(), now.to_string());
            if was == now { Ok(()) } else { Err(TrainingError::OtherRun { what, was, now }) }
        };
        other("number of examples", &self.examples, &begun.examples)?;
        other("kind of device", &self.backend, &begun.backend)?;
        let settings = |options| match serde_json::to_value(options).expect("numbers and words") {
            Value::Object(settings) => settings,
            _ => unreachable!("a struct is an object"),
        };
        let now = settings(&begun.options);
        for (name, was) in settings(&self.options) {
            other("setting", &format!("{name} {was}"), &format!("{name} {}", now[&name]))?;
        }
        other("model", &self.config, &begun.config)?;
        let name = |teacher: &Option<String>| teacher.clone().unwrap_or("none".to_owned());
        other("teacher", &name(&self.teacher), &name(&begun.teacher))?;
        match self.contents.is_some() && self.contents != begun.contents {
            true => Err(TrainingError::OtherExamples { count: self.examples }),
            false => Ok(()),
        }
    }
}

/// Saves a state.
pub fn save(folder: &Path, progress: &Progress, engine: &dyn Engine) -> Result<()> {
    let path = folder.join(FILE);
    let [means, squares] = engine.moments()?;
    let parts = [("master", engine.trained()?), ("mean", means), ("square", squares)];
    let mut tensors = vec![];
    for (part, named) in &parts {
        for (spec, tensor) in named {
            let dtype = if tensor.dtype() == DType::F64 { Dtype::F64 } else { Dtype::F32 };
            let view =
                TensorView::new(dtype, spec.shape.to_vec(), tensor.bytes()).expect("as long as it says");
            tensors.push((format!("{part}.{}", spec.name), view));
        }
    }
    let run = serde_json::to_string(progress).expect("numbers and words");
    let metadata = HashMap::from([(KEY.to_owned(), run)]);
    checkpoint::replace(&path, |temporary| {
        safetensors::serialize_to_file(tensors, Some(metadata), temporary).map_err(io::Error::other)
    })?;
    Ok(())
}

/// Reads a state.
pub fn open(folder: &Path) -> Result<(Progress, [Part; 3])> {
    let path = folder.join(FILE);
    let read = |source| TrainingError::Folder { action: "read", path: path.clone(), source };
    let damaged = |reason: String| TrainingError::State { path: path.clone(), reason };
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(TrainingError::NothingToResume { path: folder.to_owned() }.into());
        }
        Err(error) => return Err(read(error).into()),
    };
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(read)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Err(damaged(format!("its header says that it is {length} bytes long")).into());
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(read)?;
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__")]
        metadata: HashMap<String, String>,
    }
    let header: Header = serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
    let run = header.metadata.get(KEY).ok_or_else(|| damaged("it does not describe a run".to_owned()))?;
    let progress = serde_json::from_str(run).map_err(|error| damaged(error.to_string()))?;
    let part = |name| Ok::<_, crate::Error>(Part { checkpoint: Checkpoint::open(&path)?, name });
    Ok((progress, [part("master")?, part("mean")?, part("square")?]))
}

/// The masters or one of the moments in the file of a state.
pub struct Part {
    checkpoint: Checkpoint,
    name: &'static str,
}

impl ParameterSource for Part {
    fn parameter(&self, spec: &ParameterSpec) -> bert_core::Result<HostTensor> {
        self.checkpoint.tensor(&format!("{}.{}", self.name, spec.name), &spec.shape)
    }

    fn optional(&self, spec: &ParameterSpec) -> bert_core::Result<Option<HostTensor>> {
        self.checkpoint.optional(&format!("{}.{}", self.name, spec.name), &spec.shape)
    }
}
