//! `instant resume`: captures again after a pause.

use std::io::Write;
use std::process::ExitCode;

use super::Context;
use crate::capture;

/// Resume capturing changes.
///
/// Subscribers are notified to reload what they show, since the changes made during the pause are never published.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant resume --database-url postgresql://owner@localhost/shop")]
pub(super) struct Args {}

pub(super) async fn run(_: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let pool = context.pool(&config).await?;
    let watches = context.resolve(&pool, &config).await?;
    if capture::resume(&pool, &config, &watches).await? == 0 {
        writeln!(anstream::stdout(), "nothing to do: capture is not paused")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        anstream::stdout(),
        "capture has resumed; the changes made during the pause count as one loss, so that subscribers are notified to reload"
    )?;
    Ok(ExitCode::SUCCESS)
}
