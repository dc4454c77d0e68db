//! `instant dead retry`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use super::super::{Context, exit, publisher};
use super::filter::Selection;
use crate::config::Config;
use crate::mapping::Mapping;
use crate::outbox::Operator;
use crate::relay::{Redelivery, Related, redeliver};

/// Send dead letters again, the oldest first, under the same idempotency keys. What is taken is deleted; what is refused again
/// stays with its new reason. A letter whose rule failed is mapped again with today's rules.
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
    let mut related = Related::new(config.database.url.clone(), config.related_ttl);
    let rules = async { Ok::<_, anyhow::Error>(Arc::new(todays_rules(context, &config).await?)) };
    let Redelivery {
        sent,
        obsolete,
        refused,
        interrupted,
    } = Box::pin(redeliver(&operator, &publisher, &filter, &mut related, rules)).await?;
    if let Some(interrupted) = interrupted {
        let hint = interrupted.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
        anyhow::bail!("{interrupted}{hint}; sent before: {sent}, the others wait for another `instant dead retry`");
    }
    writeln!(
        anstream::stdout(),
        "sent: {sent}, needed no more: {obsolete}, refused again: {refused}"
    )?;
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::FAILED)
    })
}

/// The rules of the file as it is now.
async fn todays_rules(context: &Context, config: &Config) -> anyhow::Result<Mapping> {
    let pool = context.pool(config).await?;
    let watches = context.resolve(&pool, config).await?;
    pool.close().await;
    Ok(Mapping::compile(&watches, config.site.as_deref(), &config.prefix)?)
}
