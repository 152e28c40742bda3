//! `bert explain`: what a model looks at, which words an answer hangs on, what a word means where it stands.

mod attention;
mod form;
mod list;
mod tokens;
mod word;

use clap::{Args, Subcommand};

use crate::error::Result;
use crate::outcome::Outcome;
use crate::reporter::Reporter;

/// Show what a model looks at, which words an answer hangs on, and what a word means
#[derive(Args, Debug)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Without -o the answer goes to the terminal. With -o page.html it is a page: one file that holds its
data and loads nothing. Other extensions are other forms: .json, .jsonl, .csv, and .svg of attention.

Examples:
  bert explain attention \"The bank of the river was steep.\" -o attention.html
  bert explain tokens sentiment \"A gorgeous, witty film.\"
  bert explain word bank reviews.txt -o bank.html"
)]
pub struct ExplainCommand {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    Attention(Box<attention::AttentionCommand>),
    Tokens(Box<tokens::TokensCommand>),
    Word(Box<word::WordCommand>),
}

impl ExplainCommand {
    /// Explains.
    ///
    /// # Errors
    /// Whatever ended it early.
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        match self.kind {
            Kind::Attention(command) => command.run(reporter),
            Kind::Tokens(command) => command.run(reporter),
            Kind::Word(command) => command.run(reporter),
        }
    }
}
