//! The hub against a server on loopback that keeps, bends or breaks its promises.

mod cache;
mod download;
mod failures;
mod server;
#[cfg(unix)]
mod shared_folder;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bert_hub::{Hub, HubError, ModelId, Settings, Snapshot};
use server::{COMMIT, Model, Server};
use tempfile::TempDir;

const WEIGHTS: &str = "model.safetensors";

/// What a usual BERT needs of all its files.
const USUAL: [&str; 5] = ["config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json", "vocab.txt"];

/// A cache folder inside an empty one, so that whatever escapes from the cache is seen.
struct Place {
    outside: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { outside: tempfile::tempdir().unwrap() }
    }

    fn cache(&self) -> PathBuf {
        self.outside.path().join("hub")
    }

    fn model(&self) -> PathBuf {
        self.cache().join("models--owner--tiny")
    }

    fn settings(&self, endpoint: &str) -> Settings {
        let mut settings = Settings::new(self.cache());
        settings.endpoint = endpoint.to_owned();
        settings.retries = 2;
        settings.backoff = Duration::ZERO;
        settings
    }

    fn hub(&self, server: &Server) -> Hub {
        Hub::new(self.settings(&server.url())).unwrap()
    }

    fn offline(&self) -> Hub {
        let mut settings = self.settings("http://127.0.0.1:1");
        settings.offline = true;
        Hub::new(settings).unwrap()
    }

    /// The names in `blobs`, without hashes: only what an interrupted download leaves.
    fn unfinished(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.model().join("blobs")).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "incomplete"))
            .collect()
    }

    /// Nothing in the cache may look like a whole model, and nothing may lie outside of it.
    #[track_caller]
    fn assert_nothing_whole(&self) {
        assert_eq!(self.offline().cached_path(&tiny(), "main").unwrap(), None);
        assert_eq!(self.offline().cached_path(&tiny(), COMMIT).unwrap(), None);
        assert!(!self.model().join("refs/main").exists());
        self.assert_nothing_escaped();
    }

    #[track_caller]
    fn assert_nothing_escaped(&self) {
        let names: Vec<_> =
            fs::read_dir(self.outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| name == "hub"), "{names:?}");
    }
}

fn tiny() -> ModelId {
    "owner/tiny".parse().unwrap()
}

fn get(hub: &Hub) -> Result<Snapshot, HubError> {
    hub.snapshot(&tiny(), "main", |_| ())
}

/// All files below a folder with their content, links followed.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found
                .extend(tree(&path).into_iter().map(|(inner, content)| (format!("{name}/{inner}"), content)));
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

#[track_caller]
fn assert_holds(snapshot: &Snapshot, model: &Model, names: &[&str]) {
    let expected: BTreeMap<_, _> =
        names.iter().map(|name| ((*name).to_owned(), model.files[*name].clone())).collect();
    let found = tree(&snapshot.path);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(found == expected, "a file has another content than the server's");
}

/// A model whose index names two shards.
fn sharded(first: &str, second: &str) -> Model {
    let index = format!(r#"{{"weight_map": {{"a": "{first}", "b": "{second}", "c": "{first}"}}}}"#);
    let mut model =
        Model::new(&["config.json", "vocab.txt", "pytorch_model.bin", "model-2-of-2.safetensors"]);
    model.files.insert("model-1-of-2.safetensors".to_owned(), b"first".to_vec());
    model.files.insert("model.safetensors.index.json".to_owned(), index.into_bytes());
    model
}
