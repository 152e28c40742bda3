//! One file a command.

mod answer;
mod choose;
mod completions;
mod devices;
mod embed;
mod entities;
mod evaluate;
mod features;
mod fill_mask;
mod info;
#[cfg(feature = "hub")]
mod models;
mod next_sentence;
mod sentiment;
mod similarity;
mod tokenize;
mod tokenizer;
mod train;

use clap::Subcommand;

use crate::error::Result;
use crate::outcome::Outcome;
use crate::talk::Talk;

/// The commands. Their order here is their order in the help.
#[derive(Debug, Subcommand)]
pub enum Command {
    FillMask(fill_mask::FillMaskCommand),
    NextSentence(next_sentence::NextSentenceCommand),
    Answer(answer::AnswerCommand),
    Entities(entities::EntitiesCommand),
    #[command(visible_alias = "classify")]
    Sentiment(sentiment::SentimentCommand),
    Choose(choose::ChooseCommand),
    Embed(embed::EmbedCommand),
    Similarity(similarity::SimilarityCommand),
    Features(features::FeaturesCommand),
    Tokenize(tokenize::TokenizeCommand),
    Tokenizer(tokenizer::TokenizerCommand),
    Train(train::TrainCommand),
    Pretrain(Box<train::PretrainCommand>),
    Distil(Box<train::DistilCommand>),
    Evaluate(evaluate::EvaluateCommand),
    Info(info::InfoCommand),
    #[cfg(feature = "hub")]
    Models(models::ModelsCommand),
    Devices(devices::DevicesCommand),
    Completions(completions::CompletionsCommand),
}

impl Command {
    /// Runs the command. `cli` gives the whole command line, for what describes it.
    ///
    /// # Errors
    /// Whatever ended it early.
    pub fn run(self, talk: &Talk, cli: impl FnOnce() -> clap::Command) -> Result<Outcome> {
        match self {
            Self::FillMask(command) => command.run(talk),
            Self::NextSentence(command) => command.run(talk),
            Self::Answer(command) => command.run(talk),
            Self::Entities(command) => command.run(talk),
            Self::Sentiment(command) => command.run(talk),
            Self::Choose(command) => command.run(talk),
            Self::Embed(command) => command.run(talk),
            Self::Similarity(command) => command.run(talk),
            Self::Features(command) => command.run(talk),
            Self::Tokenize(command) => command.run(talk),
            Self::Tokenizer(command) => command.run(talk),
            Self::Train(command) => command.run(talk),
            Self::Pretrain(command) => command.run(talk),
            Self::Distil(command) => command.run(talk),
            Self::Evaluate(command) => command.run(talk),
            Self::Info(command) => command.run(talk),
            #[cfg(feature = "hub")]
            Self::Models(command) => command.run(talk),
            Self::Devices(command) => command.run(talk),
            Self::Completions(command) => command.run(talk, cli()),
        }
    }
}
