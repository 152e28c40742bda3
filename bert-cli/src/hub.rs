//! Models from the hub, with progress on the screen.

use std::path::PathBuf;

use bert_tasks::Head;
use bert_tasks::hub::{self, Hub, HubError, Progress, Settings};
use clap::Args;
use indicatif::ProgressBar;

use crate::error::describe;
use crate::reporter::Reporter;
use crate::style;

/// How models come from the hub.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model")]
pub struct HubArgs {
    /// The branch, tag or commit of a model on the hub
    #[arg(long, value_name = "REVISION", default_value = bert_tasks::hub::DEFAULT_REVISION)]
    pub revision: String,

    /// Use what the cache holds, without any connection; HF_HUB_OFFLINE=1 does the same
    #[arg(long)]
    pub offline: bool,
}

/// The hub as the environment and the options have it, for models with a head.
///
/// # Errors
/// Settings that contradict themselves.
pub fn open(args: &HubArgs, head: Head) -> Result<Hub, HubError> {
    let mut settings = Settings::from_env()?;
    settings.offline |= args.offline;
    hub::open_for(settings, head)
}

/// The folder of a model with a head, downloaded unless the cache has it.
///
/// # Errors
/// What the hub says.
pub fn snapshot(reporter: &Reporter, args: &HubArgs, name: &str, head: Head) -> Result<PathBuf, HubError> {
    let id = name.parse()?;
    let mut downloads = Downloads::new(reporter);
    let snapshot = open(args, head)?.snapshot(&id, &args.revision, |progress| downloads.report(progress))?;
    drop(downloads);
    if let Some(error) = &snapshot.fallback {
        reporter.warning(format_args!("the cached copy of {id} is used: {}", describe(error)));
    }
    Ok(snapshot.path)
}

/// What is shown of downloads: a bar on a terminal, a line for each file elsewhere.
pub struct Downloads<'a> {
    reporter: &'a Reporter,
    file: String,
    bar: Option<ProgressBar>,
}

impl<'a> Downloads<'a> {
    /// Nothing so far.
    pub fn new(reporter: &'a Reporter) -> Self {
        Self { reporter, file: String::new(), bar: None }
    }

    /// Shows how far a file is.
    pub fn report(&mut self, progress: Progress<'_>) {
        if self.file != progress.file {
            self.reporter.end_bar();
            progress.file.clone_into(&mut self.file);
            self.bar = self.reporter.byte_bar(progress.file, progress.total_bytes);
            if self.bar.is_none() {
                let size = style::bytes(progress.total_bytes);
                self.reporter.notice(format_args!("downloading {} ({size})", progress.file));
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_position(progress.done_bytes);
        }
    }
}

impl Drop for Downloads<'_> {
    fn drop(&mut self) {
        self.reporter.end_bar();
    }
}
