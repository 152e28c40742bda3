//! What can be told of a model whose files cannot all be opened.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::Path;

use bert_tasks::{Head, ModelConfig, ModelSource};
use serde::Serialize;

use super::facts::{Shape, TokenizerFacts, of_layers, of_tokenizer, show_facts};
use crate::error::describe;
use crate::output::{Page, Record};
use crate::style::bytes;

/// What is known of a model that cannot be opened. Fields are those of a model that can.
#[derive(Serialize)]
pub struct Damaged {
    model: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    config: Option<Config>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokenizer: Option<TokenizerFacts>,
    /// The files of the folder.
    files: Vec<File>,
    /// Why it cannot be opened.
    error: String,
}

#[derive(Serialize)]
struct Config {
    model_type: String,
    architectures: Vec<String>,
    shape: Shape,
    labels: Vec<String>,
}

#[derive(Serialize)]
struct File {
    name: String,
    size: u64,
}

impl Damaged {
    /// What its files tell, each for itself.
    pub fn new(source: &ModelSource, error: &dyn std::error::Error) -> Self {
        let config = source.config().ok().map(|config| Config {
            model_type: config.model_type.to_string(),
            architectures: config.architectures.clone(),
            shape: Shape::of(&config),
            labels: if labelled(&config) { config.labels.clone() } else { vec![] },
        });
        let tokenizer = source.tokenizer().ok().map(|tokenizer| TokenizerFacts::of(&tokenizer));
        let files = match source {
            ModelSource::Folder(folder) => files(folder),
            _ => vec![],
        };
        Self { model: source.to_string(), config, tokenizer, files, error: describe(error) }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let unknown = || "cannot be told".to_owned();
        let mut facts = vec![("model", self.model.clone())];
        match &self.config {
            Some(Config { model_type, architectures, shape, .. }) => facts.extend([
                ("type", model_type.clone()),
                ("class", architectures.join(", ")),
                ("layers", of_layers(shape)),
            ]),
            None => facts.push(("type", unknown())),
        }
        facts.push(("tokenizer", self.tokenizer.as_ref().map_or_else(unknown, of_tokenizer)));
        facts.extend(
            self.files.iter().map(|File { name, size }| ("file", format!("{name}, {}", bytes(*size)))),
        );
        facts.push(("error", self.error.clone()));
        facts
    }
}

/// The files of a folder, by their names; none of one that cannot be read.
fn files(folder: &Path) -> Vec<File> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<File> = entries
        .filter_map(|entry| {
            // What a link leads to counts: the cache of the hub has nothing else.
            let kind = fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file)?;
            Some(File { name: entry.file_name().to_string_lossy().into_owned(), size: kind.len() })
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

impl Record for Damaged {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        vec!["fact".into(), "value".into()]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        self.facts().into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        show_facts(&self.facts(), page)
    }
}

/// Whether its class has labels: configurations without any have two by default, which mean nothing.
fn labelled(config: &ModelConfig) -> bool {
    matches!(Head::of(config), Some(Head::SequenceClassification | Head::TokenClassification))
}
