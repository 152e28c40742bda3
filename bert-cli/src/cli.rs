//! The command line as a whole.

use clap::Parser;

use crate::commands::Command;
use crate::energy::EnergyArgs;
use crate::reporter::ReporterArgs;

/// The classic BERT tasks from the terminal
///
/// Runs and trains checkpoints of BERT and its relatives (DistilBERT, RoBERTa, ELECTRA, ALBERT): from a folder, from the
/// Hugging Face hub, or the built-in English model.
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
    pub reporter: ReporterArgs,

    /// What it takes.
    #[command(flatten)]
    pub energy: EnergyArgs,

    /// What is done.
    #[command(subcommand)]
    pub command: Command,
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
