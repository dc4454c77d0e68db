//! `instant resume`: captures again after a pause.

use std::io::Write;
use std::process::ExitCode;

use super::{Context, step};
use crate::capture;

/// Capture changes again.
///
/// Subscribers are told to load again what they show, since the changes of the pause are never published.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant resume --database-url postgresql://owner@localhost/shop")]
pub(super) struct Args {}

pub(super) async fn run(_: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let pool = context.pool(&config).await?;
    let watches = context.resolve(&pool, &config).await?;
    let (paused, _) = capture::plan(&pool, &config, &watches).await?.split_paused();
    if paused.is_empty() {
        writeln!(anstream::stdout(), "nothing to do: capture is not paused")?;
        return Ok(ExitCode::SUCCESS);
    }
    capture::apply(&pool, &paused, step::report).await?;
    capture::count_pause(&pool).await?;
    writeln!(
        anstream::stdout(),
        "capture goes on; what was changed during the pause counts as one loss, so that subscribers are told to reload"
    )?;
    Ok(ExitCode::SUCCESS)
}
