//! `instant apply`: installs the schema and the triggers.

use std::io::Write;
use std::process::ExitCode;

use super::context::report;
use super::{Context, step};
use crate::capture;

/// Install the schema and the triggers.
///
/// An existing installation is brought up to date; running it again changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant apply --database-url postgresql://owner@localhost/shop")]
pub(super) struct Args {}

pub(super) async fn run(_: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let pool = context.pool(&config).await?;
    let watches = context.resolve(&pool, &config).await?;
    let capture::Applied { done, paused } = capture::apply(&pool, &config, &watches, step::report).await?;
    report(&capture::refusals(&pool, &config).await?, &config.source)?;
    let done = if done.is_empty() { "nothing to do" } else { "done" };
    writeln!(anstream::stdout(), "{done}; watched tables: {}", watches.len())?;
    if !paused.is_empty() {
        writeln!(
            anstream::stderr(),
            "warning: capture is paused, and `apply` leaves it paused; tables: {}; `instant resume` captures again",
            paused.steps.len()
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
