//! One file a command.

mod answer;
mod bias;
mod choose;
mod complete;
mod completions;
mod devices;
mod embed;
mod energy;
mod entities;
mod evaluate;
mod explain;
mod features;
mod fill_mask;
mod generate;
mod info;
#[cfg(feature = "hub")]
mod models;
mod next_sentence;
mod sentiment;
#[cfg(feature = "serve")]
mod serve;
mod similarity;
mod summarize;
mod tokenize;
mod tokenizer;
mod train;

use clap::Subcommand;

use crate::energy::EnergyArgs;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;

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
    Summarize(summarize::SummarizeCommand),
    Complete(complete::CompleteCommand),
    Generate(generate::GenerateCommand),
    Bias(bias::BiasCommand),
    Tokenize(tokenize::TokenizeCommand),
    Tokenizer(tokenizer::TokenizerCommand),
    Train(train::TrainCommand),
    Pretrain(Box<train::PretrainCommand>),
    Distil(Box<train::DistilCommand>),
    Evaluate(evaluate::EvaluateCommand),
    Explain(explain::ExplainCommand),
    #[cfg(feature = "serve")]
    Serve(Box<serve::ServeCommand>),
    Info(info::InfoCommand),
    #[cfg(feature = "hub")]
    Models(models::ModelsCommand),
    Devices(devices::DevicesCommand),
    Energy(energy::EnergyCommand),
    Completions(completions::CompletionsCommand),
}

impl Command {
    /// Runs the command. `cli` gives the whole command line, for what describes it.
    ///
    /// # Errors
    /// Whatever ended it early.
    pub fn run(
        self,
        reporter: &Reporter,
        energy: &EnergyArgs,
        cli: impl FnOnce() -> clap::Command,
    ) -> Result<Outcome> {
        match self {
            Self::FillMask(command) => command.run(reporter),
            Self::NextSentence(command) => command.run(reporter),
            Self::Answer(command) => command.run(reporter),
            Self::Entities(command) => command.run(reporter),
            Self::Sentiment(command) => command.run(reporter),
            Self::Choose(command) => command.run(reporter),
            Self::Embed(command) => command.run(reporter),
            Self::Similarity(command) => command.run(reporter),
            Self::Features(command) => command.run(reporter),
            Self::Summarize(command) => command.run(reporter),
            Self::Complete(command) => command.run(reporter),
            Self::Generate(command) => command.run(reporter),
            Self::Bias(command) => command.run(reporter),
            Self::Tokenize(command) => command.run(reporter),
            Self::Tokenizer(command) => command.run(reporter),
            Self::Train(command) => command.run(reporter),
            Self::Pretrain(command) => command.run(reporter),
            Self::Distil(command) => command.run(reporter),
            Self::Evaluate(command) => command.run(reporter),
            Self::Explain(command) => command.run(reporter),
            #[cfg(feature = "serve")]
            Self::Serve(command) => command.run(reporter),
            Self::Info(command) => command.run(reporter),
            #[cfg(feature = "hub")]
            Self::Models(command) => command.run(reporter),
            Self::Devices(command) => command.run(reporter),
            Self::Energy(command) => command.run(reporter, energy),
            Self::Completions(command) => command.run(reporter, cli()),
        }
    }
}
