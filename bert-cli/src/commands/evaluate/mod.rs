//! `bert evaluate`: one file a kind of evaluation, beside what they share.
//!
//! A command is a [`job::Evaluation`], which loads a task and asks it for all answers to a file;
//! [`JobArgs::run`](job::JobArgs::run) does the rest.

mod classify;
mod corpus;
mod glue;
mod job;
mod mlm;
mod ner;
mod nsp;
mod report;
mod retrieval;
mod squad;
mod sts;
mod summary;
mod swag;

use clap::{Args, Subcommand};

use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;

/// Measure how good a model is, by the figures that papers report
#[derive(Args, Debug)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Each figure comes with the interval in which it would lie for 95 of 100 other data sets of the
same kind and size (bootstrap). Two models, or two precisions of one, are compared on the same
examples.

Examples:
  bert evaluate squad -m path/to/squad2-model --data dev-v2.0.json --predictions predictions/
  bert evaluate squad --data dev-v2.0.json --predictions-file predictions.json
  bert evaluate glue --task mnli-m -m path/to/model --data dev_matched.tsv --compare-precision int8
  bert evaluate ner -m path/to/ner-model --data test.conll --errors wrong.jsonl --card README.md"
)]
pub struct EvaluateCommand {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    Squad(Box<squad::SquadCommand>),
    Glue(Box<glue::GlueCommand>),
    Swag(Box<swag::SwagCommand>),
    Ner(Box<ner::NerCommand>),
    Classify(Box<classify::ClassifyCommand>),
    Sts(Box<sts::StsCommand>),
    Summary(Box<summary::SummaryCommand>),
    Retrieval(Box<retrieval::RetrievalCommand>),
    Mlm(Box<mlm::MlmCommand>),
    Nsp(Box<nsp::NspCommand>),
}

impl EvaluateCommand {
    /// Evaluates.
    ///
    /// # Errors
    /// Whatever ended it early.
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        match self.kind {
            Kind::Squad(command) => command.run(reporter),
            Kind::Glue(command) => command.run(reporter),
            Kind::Swag(command) => command.run(reporter),
            Kind::Ner(command) => command.run(reporter),
            Kind::Classify(command) => command.run(reporter),
            Kind::Sts(command) => command.run(reporter),
            Kind::Summary(command) => command.run(reporter),
            Kind::Retrieval(command) => command.run(reporter),
            Kind::Mlm(command) => command.run(reporter),
            Kind::Nsp(command) => command.run(reporter),
        }
    }
}
