//! `bert train`: one file a task, beside what they share.
//!
//! A task is a command whose [`Settings`](settings::Settings) add the columns of its files; it makes an objective of
//! its examples and hands it to a [`Job`](job::Job), which does the rest.

mod classify;
mod job;
mod options;
mod pretrain;
mod progress;
mod settings;
mod source;
mod summary;

pub use classify::TextColumns;
pub use pretrain::PretrainCommand;

use clap::{Args, Subcommand};

use crate::Outcome;
use crate::error::Result;
use crate::talk::Talk;

/// Train a model on your own examples
#[derive(Args, Debug)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  bert train classify --train reviews.tsv --eval dev.tsv --out my-model
  bert classify --model my-model \"A gorgeous, witty, seductive movie.\""
)]
pub struct TrainCommand {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Classify(Box<classify::ClassifyCommand>),
}

impl TrainCommand {
    /// Trains.
    ///
    /// # Errors
    /// Whatever ended it early.
    pub fn run(self, talk: &Talk) -> Result<Outcome> {
        match self.task {
            Task::Classify(command) => command.run(talk),
        }
    }
}
