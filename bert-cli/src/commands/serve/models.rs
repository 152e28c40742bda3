//! Which models are served, and how they are loaded: at the start, and again while the server runs.

use std::path::Path;

use bert_server::{Model, ModelOptions};
use bert_tasks::{Device, Head, Precision};

use crate::built_in::{BuiltIn, ENTITIES, SENTIMENT, SIMILARITY};
use crate::error::Result;
use crate::model::{Requirement, SourceArgs};
use crate::reporter::Reporter;

const fn requirement(built_in: BuiltIn) -> Requirement {
    Requirement { kind: "a model", example: "google-bert/bert-base-uncased", head: Head::None, built_in }
}

static NAMED: Requirement = requirement(BuiltIn::None);

/// What is served where the user names nothing, with the tasks of each.
static BUILT_IN: [(&str, Requirement, &[&str]); 4] = [
    (
        "english-mlm",
        requirement(BuiltIn::Base),
        &["fill-mask", "next-sentence", "features", "polysemy", "attention"],
    ),
    ("english-similarity", requirement(SIMILARITY), &["embed"]),
    ("english-sentiment", requirement(SENTIMENT), &["sentiment"]),
    ("english-entities", requirement(ENTITIES), &["entities"]),
];

/// What the user wants to be served.
pub struct Wanted {
    /// `[NAME=]FOLDER|HUB`; the built-in models if there are none.
    pub models: Vec<String>,
    /// Those that each model was made for, if there are none.
    pub tasks: Vec<String>,
    #[cfg(feature = "hub")]
    pub hub: crate::hub::HubArgs,
    pub device: Device,
    pub precision: Precision,
    pub queue: usize,
    pub max_batch_tokens: Option<usize>,
}

impl Wanted {
    /// Loads all of them, from files that may have changed.
    ///
    /// # Errors
    /// One that is not there, or cannot be loaded.
    pub fn load(&self, reporter: &Reporter) -> Result<Vec<Model>> {
        let mut models = vec![];
        let named: Vec<_> = self.models.iter().filter(|model| !model.is_empty()).collect();
        if named.is_empty() {
            for (name, requirement, tasks) in &BUILT_IN {
                let chosen: Vec<_> = match &self.tasks[..] {
                    [] => tasks.iter().map(|&task| task.to_owned()).collect(),
                    asked => asked.iter().filter(|task| covers(tasks, task)).cloned().collect(),
                };
                if !chosen.is_empty() {
                    models.push(self.load_one(reporter, name, None, requirement, chosen)?);
                }
            }
            if models.is_empty() {
                return Err(NAMED.missing());
            }
        }
        for model in named {
            let (name, place) = match model.split_once('=') {
                Some((name, place)) => (name.to_owned(), place),
                None => (short_name(model), model.as_str()),
            };
            models.push(self.load_one(reporter, &name, Some(place), &NAMED, self.tasks.clone())?);
        }
        Ok(models)
    }

    fn load_one(
        &self,
        reporter: &Reporter,
        name: &str,
        place: Option<&str>,
        requirement: &'static Requirement,
        tasks: Vec<String>,
    ) -> Result<Model> {
        let source = SourceArgs {
            model: place.map(str::to_owned),
            adapter: None,
            #[cfg(feature = "hub")]
            hub: self.hub.clone(),
        };
        let mut files = source.open(reporter, requirement)?;
        if let Some(tokens) = self.max_batch_tokens {
            files = files.with_token_budget(tokens);
        }
        let mut options = ModelOptions { tasks, queue: self.queue, ..ModelOptions::default() };
        options.precision = self.precision;
        let model = Model::load(name, &files, &self.device, &options)?;
        let precision = match self.precision {
            Precision::F32 => String::new(),
            precision => format!(", precision {precision}"),
        };
        let (tasks, device) = (model.tasks().join(", "), &self.device);
        reporter.notice(format_args!("model {name}: {tasks}, device {device}{precision}"));
        Ok(model)
    }
}

/// Whether a built-in model does a task that the user asks for.
fn covers(tasks: &[&str], asked: &str) -> bool {
    let asked = match asked {
        "classify" => "sentiment",
        "similarity" => "embed",
        other => other,
    };
    tasks.contains(&asked)
}

/// The name of a folder, or that of a model on the hub as it is.
fn short_name(model: &str) -> String {
    let path = Path::new(model);
    let folder = path.is_dir().then(|| path.canonicalize().ok()).flatten();
    let name = folder.as_ref().and_then(|folder| folder.file_name()).and_then(|name| name.to_str());
    name.unwrap_or(model).to_owned()
}
