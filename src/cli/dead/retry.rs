//! `instant dead retry`.

use std::io::Write;
use std::process::ExitCode;

use super::filter::Selection;
use crate::cli::{Context, exit, publisher};
use crate::outbox::Operator;
use crate::relay::{Redelivery, RelatedLoader, redeliver};

/// Send dead letters again.
///
/// Letters of older changes go first, under the same idempotency keys. Accepted letters are deleted; those refused again stay with the new
/// reason. A letter whose rule failed is mapped again with the current rules.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant dead retry --reason 'unknown channel'")]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let Some(filter) = args.selection.filter()? else {
        return Ok(ExitCode::from(exit::USAGE));
    };
    let config = context.load()?;
    let publisher = publisher(&config)?;
    let operator = Operator::connect(&config.database.url).await?;
    let mut related = RelatedLoader::new(config.database.url.clone(), config.related_ttl);
    // Those of the file as it is now.
    let rules = async { Ok::<_, anyhow::Error>(context.rules(&config).await?.1) };
    let Redelivery {
        sent,
        obsolete,
        refused,
        interrupted,
    } = Box::pin(redeliver(&operator, &publisher, &filter, &mut related, rules)).await?;
    if let Some(interrupted) = interrupted {
        let why = interrupted.with_hint();
        anyhow::bail!(
            "{why}; sent before that: {sent}, no longer needed: {obsolete}, refused again: {refused}; run `instant dead retry` again for \
             the others"
        );
    }
    writeln!(
        anstream::stdout(),
        "sent: {sent}, no longer needed: {obsolete}, refused again: {refused}"
    )?;
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::FAILED)
    })
}
