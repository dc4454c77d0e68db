//! `instant plan`: what `apply` would change.

use std::io::Write;
use std::process::ExitCode;

use super::{Context, exit};
use crate::capture;

/// Show what `apply` would change in the database.
///
/// Each step is shown with its reason and the lock that it takes. Exits with 3 if anything differs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant plan --json")]
pub(super) struct Args {
    /// Print the steps as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let pool = context.pool(&config).await?;
    let watches = context.resolve(&pool, &config).await?;
    let plan = capture::plan(&pool, &config, &watches).await?;
    let mut stdout = anstream::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&plan.steps)?)?;
    } else {
        writeln!(stdout, "{plan}")?;
    }
    Ok(if plan.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::DRIFT)
    })
}
