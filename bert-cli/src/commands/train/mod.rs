//! `bert train`: one file a task, beside what they share.
//!
//! A task is a command whose [`Settings`](settings::Settings) add the columns of its files; it makes an objective of
//! its examples and hands it to a [`Job`](job::Job), which does the rest.

mod answer;
mod choose;
mod classify;
mod corpus;
mod distil;
mod distillation;
mod embed;
mod entities;
mod fill_mask;
mod job;
mod lora;
mod next_sentence;
mod options;
mod pretrain;
mod progress;
mod raw_text;
mod settings;
mod source;
mod summary;

pub use classify::TextColumns;
pub use corpus::TextArgs;
pub use distil::DistilCommand;
pub use pretrain::PretrainCommand;

use clap::{Args, Subcommand};

use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;

/// Train a model on your own examples
#[derive(Args, Debug)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  bert train classify --train reviews.tsv --eval dev.tsv --out my-model
  bert classify --model my-model \"A gorgeous, witty, seductive movie.\"
  bert train entities --train train.conll --eval dev.conll --out my-tagger
  bert train answer --train train-v2.0.json --eval dev-v2.0.json --out my-reader
  bert train embed --train pairs.csv --out my-search
  bert train classify --train reviews.tsv --model small-bert --teacher my-model --out my-small-model"
)]
pub struct TrainCommand {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Classify(Box<classify::ClassifyCommand>),
    Entities(Box<entities::EntitiesCommand>),
    Answer(Box<answer::AnswerCommand>),
    Embed(Box<embed::EmbedCommand>),
    Choose(Box<choose::ChooseCommand>),
    FillMask(Box<fill_mask::FillMaskCommand>),
    NextSentence(Box<next_sentence::NextSentenceCommand>),
}

impl TrainCommand {
    /// Trains.
    ///
    /// # Errors
    /// Whatever ended it early.
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        match self.task {
            Task::Classify(command) => command.run(reporter),
            Task::Entities(command) => command.run(reporter),
            Task::Answer(command) => command.run(reporter),
            Task::Embed(command) => command.run(reporter),
            Task::Choose(command) => command.run(reporter),
            Task::FillMask(command) => command.run(reporter),
            Task::NextSentence(command) => command.run(reporter),
        }
    }
}
