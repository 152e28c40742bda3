//! `bert completions`: scripts that complete commands and options in a shell.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::error::Result;
use crate::outcome::Outcome;
use crate::output;
use crate::reporter::Reporter;

/// Print a script for completion in your shell
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  bert completions bash > ~/.local/share/bash-completion/completions/bert
  bert completions zsh > ~/.zfunc/_bert
  bert completions fish > ~/.config/fish/completions/bert.fish")]
pub struct CompletionsCommand {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionsCommand {
    pub fn run(self, reporter: &Reporter, mut cli: Command) -> Result<Outcome> {
        let mut script = vec![];
        clap_complete::generate(self.shell, &mut cli, "bert", &mut script);
        output::print(&script, reporter)?;
        Ok(Outcome::Done)
    }
}
