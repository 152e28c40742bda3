//! `bert models`: the models in the cache.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use bert_tasks::Head;
use bert_tasks::hub::{CachedModel, ModelId};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::hub::{self, Downloads, HubArgs};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{self, visible};

/// List, download and find models of the hub
#[derive(Args, Debug)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
The cache is that of Python's huggingface_hub: HF_HOME or HF_HUB_CACHE moves it, HF_ENDPOINT names
another hub, HF_TOKEN opens private models.

Examples:
  bert models list
  bert models pull sentence-transformers/all-MiniLM-L6-v2
  bert info --model \"$(bert models path google-bert/bert-base-uncased)\""
)]
pub struct ModelsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the models in the cache
    List {
        /// List models of other kinds than BERT too
        #[arg(short, long)]
        all: bool,

        #[command(flatten)]
        output: OutputArgs,
    },
    /// Download a model, or bring it up to date
    Pull {
        /// The name of the model on the hub
        #[arg(value_name = "NAME")]
        id: String,

        #[command(flatten)]
        hub: HubArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print the folder of a model in the cache
    Path {
        /// The name of the model on the hub
        #[arg(value_name = "NAME")]
        id: String,

        #[command(flatten)]
        hub: HubArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl ModelsCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        match self.action {
            Action::List { all, output } => list(reporter, all, &output),
            Action::Pull { id, hub, output } => {
                let mut sink = Sink::open(&output, false, reporter)?;
                let id: ModelId = id.parse()?;
                let mut downloads = Downloads::new(reporter);
                let found = hub::open(&hub, Head::None)?
                    .pull(&id, &hub.revision, |progress| downloads.report(progress))?;
                drop(downloads);
                sink.write(None, &Folder::new(&id, &found.path))?;
                sink.finish()?;
                Ok(Outcome::Done)
            }
            Action::Path { id, hub, output } => {
                let mut sink = Sink::open(&output, false, reporter)?;
                let id: ModelId = id.parse()?;
                let path = hub::open(&hub, Head::None)?.cached_path(&id, &hub.revision)?;
                let path =
                    path.ok_or_else(|| Error::NotCached { id: id.to_string(), revision: hub.revision })?;
                sink.write(None, &Folder::new(&id, &path))?;
                sink.finish()?;
                Ok(Outcome::Done)
            }
        }
    }
}

fn list(reporter: &Reporter, all: bool, output: &OutputArgs) -> Result<Outcome> {
    let mut sink = Sink::open(output, true, reporter)?;
    let settings = bert_tasks::hub::Settings::from_env()?;
    let cache = settings.cache.clone();
    let models = bert_tasks::hub::Hub::new(settings)?.list_cached()?;
    let (shown, others): (Vec<_>, Vec<_>) = models.iter().partition(|model| all || model.is_supported);
    for model in &shown {
        sink.write(None, &Cached::new(model))?;
    }
    sink.finish()?;
    if shown.is_empty() {
        reporter.notice(format_args!(
            "no BERT model in {}; get one with: bert models pull NAME",
            cache.display()
        ));
    }
    if !others.is_empty() {
        let others =
            style::counted(others.len() as u64, "model of another kind is", "models of other kinds are");
        reporter.notice(format_args!("{others} not shown; use --all to list all models"));
    }
    Ok(Outcome::Done)
}

/// A model in the cache.
#[derive(Serialize)]
struct Cached<'a> {
    id: &'a str,
    revisions: &'a [String],
    commit: &'a str,
    model_type: Option<&'a str>,
    size: u64,
    missing: Option<&'a str>,
    path: Cow<'a, str>,
}

impl<'a> Cached<'a> {
    fn new(model: &'a CachedModel) -> Self {
        Self {
            id: model.id.as_str(),
            revisions: &model.revisions,
            commit: &model.commit,
            model_type: model.model_type.as_deref(),
            size: model.size,
            missing: model.missing.as_deref(),
            path: model.path.to_string_lossy(),
        }
    }
}

impl Record for Cached<'_> {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["id", "revisions", "commit", "model_type", "size", "missing", "path"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        vec![vec![
            self.id.to_owned(),
            self.revisions.join(" "),
            self.commit.to_owned(),
            self.model_type.unwrap_or_default().to_owned(),
            self.size.to_string(),
            self.missing.unwrap_or_default().to_owned(),
            self.path.to_string(),
        ]]
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        let commit = self.commit.get(..7).unwrap_or(self.commit);
        let revision = self.revisions.first().map_or(commit, String::as_str);
        write!(page, "{:<56}", screen.paint(style::STRONG, self.id))?;
        let kind = self.model_type.unwrap_or("?");
        write!(page, "  {kind:<10}  {:>9}  {}", style::bytes(self.size), visible(revision))?;
        if let Some(missing) = self.missing {
            write!(page, "  {}", screen.paint(style::BAD, format_args!("incomplete: no {missing}")))?;
        }
        writeln!(page)
    }
}

/// The folder of a model.
#[derive(Serialize)]
struct Folder<'a> {
    id: &'a str,
    path: Cow<'a, str>,
}

impl<'a> Folder<'a> {
    fn new(id: &'a ModelId, path: &'a Path) -> Self {
        Self { id: id.as_str(), path: path.to_string_lossy() }
    }
}

impl Record for Folder<'_> {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        vec!["id".into(), "path".into()]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        vec![vec![self.id.to_owned(), self.path.to_string()]]
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        // As it is, since a script will use it.
        writeln!(page, "{}", self.path)
    }
}
