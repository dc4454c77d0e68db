//! `instant run`: publishes every committed change.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use super::{Context, publisher};
use crate::capture;
use crate::config::Config;
use crate::mapping::Mapping;
use crate::outbox::Operator;
use crate::relay::Relay;

/// Publish every committed change until SIGTERM or SIGINT. SIGHUP reads the rules again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant run --events --log json")]
pub(super) struct Args {
    /// Log a line for each event and where it went, never its payload.
    #[arg(long)]
    events: bool,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = Log::Text)]
    log: Log,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Log {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    start_log(&args);
    let (mut terminate, mut interrupt, mut hangup) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
    );
    let publisher = Arc::new(publisher(&config)?);
    // First of all: through a pooler whatever follows fails in ways that only confuse.
    drop(Operator::connect(&config.database.url).await?);
    let (replace, rules) = watch::channel(Arc::new(rules(context, &config).await?));
    let shutdown = CancellationToken::new();
    let relay = Relay {
        database: config.database.url.clone(),
        publisher,
        rules,
        retention: config.retention,
        shutdown: shutdown.clone(),
    };
    let mut relay = tokio::spawn(relay.run());
    loop {
        tokio::select! {
            ended = &mut relay => {
                ended.context("the relay ended unexpectedly")??;
                info!("stopped");
                return Ok(ExitCode::SUCCESS);
            }
            _ = terminate.recv() => stop(&shutdown),
            _ = interrupt.recv() => stop(&shutdown),
            _ = hangup.recv() => match reload(context).await {
                Ok(mapping) => {
                    replace.send_replace(Arc::new(mapping));
                    info!("the rules were read again");
                }
                Err(refusal) => error!("the new rules are refused, the old ones go on: {refusal:#}"),
            },
        }
    }
}

/// The rules of the file as it is now.
async fn reload(context: &Context) -> anyhow::Result<Mapping> {
    let config = context.load()?;
    rules(context, &config).await
}

/// Resolves and compiles the rules; says when the triggers are not those that the rules need.
async fn rules(context: &Context, config: &Config) -> anyhow::Result<Mapping> {
    let pool = context.pool(config).await?;
    let watches = context.resolve(&pool, config).await?;
    if !capture::plan(&pool, config, &watches).await?.is_empty() {
        tracing::warn!("the database is not as instant.toml wants it; see `instant plan`, then run `instant apply`");
    }
    pool.close().await;
    Ok(Mapping::compile(&watches, config.site.as_deref(), &config.prefix)?)
}

/// `RUST_LOG` decides what is logged; events only with `--events`.
fn start_log(args: &Args) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let level = if args.events { "info" } else { "off" };
    let filter = match format!("instant::event={level}").parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log {
        Log::Text => subscriber
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .init(),
        Log::Json => subscriber.json().flatten_event(true).init(),
    }
}

fn stop(shutdown: &CancellationToken) {
    info!("stopping: what is in flight is published first");
    shutdown.cancel();
}
