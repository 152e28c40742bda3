//! What the tests of several tasks share: a tiny checkpoint of any class, made on the spot, and the paths
//! of the optional trained ones.
#![allow(dead_code)] // each test program uses its own part

pub mod echo;

use std::path::PathBuf;

use bert_conformance::small::Small;
use bert_tasks::{Device, ModelSource, Pretrained};
use tempfile::TempDir;

/// The checkpoint folder of a random model: 2 layers, 32 hidden features, 64 positions.
pub struct Tiny {
    pub folder: TempDir,
}

impl Tiny {
    /// A model of a class such as `BertForMaskedLM`, with the given labels where the class has some.
    pub fn new(class: &str, labels: &[&str]) -> Self {
        Self::with_config(class, labels, serde_json::json!({}))
    }

    /// The same with fields of `config.json` set to other values.
    pub fn with_config(class: &str, labels: &[&str], fields: serde_json::Value) -> Self {
        let folder = TempDir::new().unwrap();
        let small = Small::new(class).fields(&fields);
        let small = if labels.is_empty() { small } else { small.labels(labels) };
        small.save(folder.path());
        Self { folder }
    }

    /// A masked LM with the numbers that training begins with. The usual range is for wider models.
    pub fn untrained() -> Self {
        let folder = TempDir::new().unwrap();
        let fields = serde_json::json!({ "initializer_range": 0.15 });
        Small::new("BertForMaskedLM").fields(&fields).untrained().save(folder.path());
        Self { folder }
    }

    /// The folder, as a user would name it.
    pub fn name(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    pub fn open(&self) -> Pretrained {
        Pretrained::from_source(ModelSource::Folder(self.folder.path().to_owned())).unwrap()
    }
}

/// The device that tests run on.
pub fn device() -> Device {
    Device::auto().unwrap()
}

/// A trained checkpoint that `cargo xtask models` brought, or a printed reason why there is none.
pub fn trained(name: &str) -> Option<PathBuf> {
    let folder = root().join("target/models").join(name);
    if !folder.is_dir() {
        eprintln!("SKIPPED: no checkpoint at {}; run cargo xtask models", folder.display());
        return None;
    }
    Some(folder)
}

/// A file of the optional folder of datasets and reference outputs, or a printed reason why there is none.
pub fn shared(path: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("BERT_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let path = shared.join(path);
    if !path.exists() {
        eprintln!("SKIPPED: nothing at {}; set BERT_SHARED to the folder of datasets", path.display());
        return None;
    }
    Some(path)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace root").to_owned()
}
