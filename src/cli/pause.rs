//! `instant pause`: stops capture immediately.

use std::io::Write;
use std::process::ExitCode;

use super::Context;
use crate::capture;

/// Stop capturing changes immediately.
///
/// Takes no lock on any table. Writes continue; what they change until `instant resume` is never published.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant pause --database-url postgresql://owner@localhost/shop")]
pub(super) struct Args {}

pub(super) async fn run(_: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let pool = context.pool(&config).await?;
    let paused = capture::pause(&pool).await?;
    writeln!(
        anstream::stdout(),
        "capture is paused; tables: {paused}. Changes captured before are still published; `instant resume` captures again"
    )?;
    Ok(ExitCode::SUCCESS)
}
