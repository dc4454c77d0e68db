//! `instant adopt`: continues in a database that was restored from another cluster.

use std::io::Write;
use std::process::ExitCode;

use super::Context;
use crate::outbox::Operator;

/// Continue in a database that was restored from a dump or upgraded.
///
/// Changes that were not settled are published, and subscribers are notified to reload what they show.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant adopt --database-url postgresql://owner@localhost/shop")]
pub(super) struct Args {}

pub(super) async fn run(_: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let adopted = Operator::connect(&config.database.url).await?.adopt().await?;
    let mut stdout = anstream::stdout();
    match adopted {
        None => writeln!(stdout, "nothing to do: the cursor belongs to this cluster")?,
        Some(adopted) => writeln!(
            stdout,
            "the cursor belongs to this cluster now: the relay continues with {} unsettled changes, {} settled ones were removed, \
             and subscribers are notified to reload",
            adopted.unsettled, adopted.settled
        )?,
    }
    Ok(ExitCode::SUCCESS)
}
