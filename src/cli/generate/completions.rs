//! Shell completions for `instant`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  source <(instant gen completions bash)\n  instant gen completions zsh > ~/.zfunc/_instant\n  \
                  instant gen completions fish > ~/.config/fish/completions/instant.fish"
)]
pub(super) struct Args {
    /// Shell to print completions for.
    shell: Shell,
}

/// The script for a shell.
pub(super) fn script(args: &Args) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "instant", &mut script);
    script
}
