//! `instant dead`: the publications that were parked.

mod drop;
mod filter;
mod list;
mod retry;
mod show;

use std::process::ExitCode;

use super::Context;

/// List, show, retry or drop the publications that were parked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant dead list --rule shop.Order/2 --newer 1h")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Retry(retry::Args),
    Drop(drop::Args),
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => list::run(args, context).await,
        Command::Show(args) => show::run(args, context).await,
        Command::Retry(args) => retry::run(args, context).await,
        Command::Drop(args) => drop::run(args, context).await,
    }
}
