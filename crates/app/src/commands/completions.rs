//! `tillstream completions`: a completion script for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tillstream completions bash > ~/.local/share/bash-completion/completions/tillstream
  tillstream completions zsh > ~/.zfunc/_tillstream
  tillstream completions fish > ~/.config/fish/completions/tillstream.fish";

/// What to print.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tillstream", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end())
}
