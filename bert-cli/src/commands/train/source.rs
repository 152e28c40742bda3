//! What a run begins with: a model, files of examples, a folder, a device.

use std::path::PathBuf;

use bert_tasks::{Device, DeviceOptions, Head, Pretrained};
use clap::{Args, ValueHint};
use serde::{Deserialize, Deserializer, Serialize};

use crate::built_in::BuiltIn;
use crate::error::{Error, Result};
#[cfg(feature = "hub")]
use crate::hub::HubArgs;
use crate::model::{Requirement, SourceArgs};
use crate::reporter::Reporter;
use crate::values::positive;

const REQUIREMENT: Requirement = Requirement {
    kind: "a model to begin with",
    example: "google-bert/bert-base-uncased",
    head: Head::None,
    built_in: BuiltIn::Base,
};

/// A teacher is always named.
const TEACHER: Requirement = Requirement {
    kind: "a teacher",
    example: "google-bert/bert-base-uncased",
    head: Head::None,
    built_in: BuiltIn::None,
};

/// What a run begins with, and where it goes.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[command(next_help_heading = "Files")]
#[serde(default, rename_all = "kebab-case")]
pub struct FileArgs {
    /// The examples to train on; several files are read one after another
    #[arg(long, value_name = "FILE", num_args = 1.., value_hint = ValueHint::FilePath)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_several")]
    pub train: Vec<PathBuf>,

    /// Examples to evaluate the model on after each epoch; the best model is kept. Without them, the last one is
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub eval: Option<PathBuf>,

    /// The folder of the run, where the model will be
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,

    /// Write an event file for TensorBoard into the folder of the run: losses, rates and evaluations
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tensorboard: Option<bool>,

    /// The model to begin with: a folder, or the name of a model on the Hugging Face hub. If not given, the one in
    /// BERT_MODEL, or the built-in English model. Its head is used if it is of the right kind and has the same labels;
    /// otherwise the head is new
    #[arg(short, long, value_name = "FOLDER|NAME", value_hint = ValueHint::DirPath)]
    pub model: Option<String>,

    /// The teacher to distil from: learn from its scores besides the labels of the examples. A folder, or the name of a
    /// model on the hub, with the same vocabulary, a head of the same kind and the same labels
    #[arg(long, value_name = "FOLDER|NAME", value_hint = ValueHint::DirPath)]
    pub teacher: Option<String>,

    /// The branch, tag or commit of a model on the hub
    #[cfg(feature = "hub")]
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,

    /// Where to compute: auto, cpu, or another backend of this build (`bert devices` lists them)
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,

    /// How many CPU threads to compute with; as many as the system allows, if not given. The model is the same
    #[arg(long, value_name = "COUNT", value_parser = positive, allow_negative_numbers = true)]
    pub threads: Option<usize>,
}

impl FileArgs {
    /// Finds the model and opens its files; downloads them first if need be.
    ///
    /// # Errors
    /// One that is not there or cannot be used.
    pub fn open_model(
        &self,
        reporter: &Reporter,
        #[cfg(feature = "hub")] offline: bool,
    ) -> Result<Pretrained> {
        let source = SourceArgs {
            model: self.model.clone(),
            adapter: None,
            #[cfg(feature = "hub")]
            hub: HubArgs {
                revision: self.revision.clone().unwrap_or(bert_tasks::hub::DEFAULT_REVISION.to_owned()),
                offline,
            },
        };
        source.open(reporter, &REQUIREMENT)
    }

    /// Opens the teacher, if there is to be one.
    ///
    /// # Errors
    /// As [`open_model`](Self::open_model).
    pub fn open_teacher(
        &self,
        reporter: &Reporter,
        #[cfg(feature = "hub")] offline: bool,
    ) -> Result<Option<Pretrained>> {
        if self.teacher.is_none() {
            return Ok(None);
        }
        let source = SourceArgs {
            model: self.teacher.clone(),
            adapter: None,
            #[cfg(feature = "hub")]
            hub: HubArgs { revision: bert_tasks::hub::DEFAULT_REVISION.to_owned(), offline },
        };
        source.open(reporter, &TEACHER).map(Some)
    }

    /// Opens the device.
    ///
    /// # Errors
    /// One that is not there.
    pub fn open_device(&self) -> Result<Device> {
        Ok(Device::open(self.device.as_deref().unwrap_or("auto"), DeviceOptions { threads: self.threads })?)
    }

    /// Fills in what the environment says of settings that were not made.
    ///
    /// # Errors
    /// A variable that means nothing.
    pub fn or_environment(mut self) -> Result<Self> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        self.model = self.model.or_else(|| variable("BERT_MODEL"));
        self.device = self.device.or_else(|| variable("BERT_DEVICE"));
        if let (None, Some(found)) = (self.threads, variable("BERT_THREADS")) {
            let parsed = positive(&found);
            let wrong = |reason| Error::Variable { name: "BERT_THREADS", found, reason };
            self.threads = Some(parsed.map_err(wrong)?);
        }
        Ok(self)
    }

    /// The same from any folder and in any environment. Without `out`: a run is repeated elsewhere.
    pub fn anywhere(&self, device: &Device) -> Self {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let named = |model: String| {
            let folder = std::fs::canonicalize(&model).ok().filter(|_| !model.is_empty());
            folder.map_or(model, |folder| folder.display().to_string())
        };
        Self {
            train: self.train.iter().map(absolute).collect(),
            eval: self.eval.as_ref().map(absolute),
            out: None,
            // An empty name is none; a missing one would be the environment's.
            model: Some(named(self.model.clone().unwrap_or_default())),
            teacher: self.teacher.clone().map(named),
            device: Some(match self.device.as_deref().map(str::trim) {
                Some(word) if !word.eq_ignore_ascii_case("auto") => word.to_owned(),
                _ => device.info().name.to_owned(),
            }),
            ..self.clone()
        }
    }
}

/// A name, or a list of names.
fn one_or_several<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "the name of a file, or a list of names")]
    enum Names {
        One(PathBuf),
        Several(Vec<PathBuf>),
    }
    Ok(match Names::deserialize(from)? {
        Names::One(name) => vec![name],
        Names::Several(names) => names,
    })
}
