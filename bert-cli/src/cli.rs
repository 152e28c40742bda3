//! The command line as a whole.

use clap::Parser;

use crate::commands::Command;
use crate::talk::TalkArgs;

/// The classic BERT tasks from the terminal
///
/// Runs BERT and DistilBERT checkpoints on texts: from a folder, from the Hugging Face hub, or the English
/// model that is built in.
#[derive(Debug, Parser)]
#[command(
    name = "bert",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "\
Examples:
  bert fill-mask \"The capital of France is [MASK].\"
  bert entities --model path/to/ner-model \"Sarah Connor lives in Los Angeles.\"
  bert embed --model sentence-transformers/all-MiniLM-L6-v2 --input texts.txt --jsonl
  bert COMMAND --help

Results go to stdout, everything else to stderr. Exit status: 0 done, 1 a negative answer (where a
command can be asked for one), 2 an error."
)]
pub struct Cli {
    /// How much is said.
    #[command(flatten)]
    pub talk: TalkArgs,

    /// What is done.
    #[command(subcommand)]
    pub command: Command,
}

/// A count that makes sense only from 1 on.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err("it must be a whole number from 1 on".to_owned()),
    }
}

/// A count for which room is made at once.
pub fn up_to<const MOST: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count <= MOST => Ok(count),
        _ => Err(format!("it must be a whole number of at most {MOST}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
