//! `instant sql`: the script for a DBA.

use std::io::Write;
use std::process::ExitCode;

use super::Context;
use crate::capture;

/// Print the SQL that `apply` would run, for a DBA.
///
/// The script is for a database without anything of Instant, and includes the lock that each statement takes and the grants for `[database]
/// relay_role`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant sql > instant.sql")]
pub(super) struct Args {}

pub(super) async fn run(_: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let pool = context.pool(&config).await?;
    let watches = context.resolve(&pool, &config).await?;
    write!(anstream::stdout(), "{}", capture::script(&pool, &config, &watches).await?)?;
    Ok(ExitCode::SUCCESS)
}
