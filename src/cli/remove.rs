//! `instant remove`: removes everything from the database.

use std::io::Write;
use std::process::ExitCode;

use super::{Context, confirm, exit, step};
use crate::capture;

/// Remove everything of Instant from the database.
///
/// Drops every trigger, function and table. Changes that were not published are lost.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant remove --yes")]
pub(super) struct Args {
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let question = "Remove every trigger and the schema `instant`, including changes that were not published?";
    if !args.yes && !confirm(question)? {
        writeln!(anstream::stderr(), "nothing was removed; `--yes` removes without asking")?;
        return Ok(ExitCode::from(exit::USAGE));
    }
    let pool = context.pool(&config).await?;
    // What was granted on tables that no longer resolve cannot be determined.
    let watches = capture::resolve(&pool, &config).await?.watches;
    capture::remove(&pool, &config, &watches, step::report).await?;
    writeln!(anstream::stdout(), "done: nothing of Instant is left in the database")?;
    Ok(ExitCode::SUCCESS)
}
