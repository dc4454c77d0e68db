//! `instant run`: publishes every committed change.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use super::service::Service;
use super::{Context, systemd};
use crate::capture;
use crate::config::Config;
use crate::mapping::Mapping;

/// Publish every committed change.
///
/// Runs until SIGTERM or SIGINT. SIGHUP reloads the rules and the channels of instant.toml; changes to triggers need `instant apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant run --events --log json")]
pub(super) struct Args {
    /// Log a line for each event and its destination, never its payload.
    #[arg(long)]
    events: bool,
    /// Format of the log.
    #[arg(long, value_enum, default_value_t = Log::Text)]
    log: Log,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Log {
    /// Human-readable.
    Text,
    /// One JSON object per line.
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
    let mut service = Box::pin(Service::start(&config, rules(context, &config))).await?;
    tokio::spawn(systemd::report(service.roles()));
    loop {
        tokio::select! {
            ended = service.ended() => {
                service.finish(ended).await?;
                info!("stopped");
                return Ok(ExitCode::SUCCESS);
            }
            _ = terminate.recv() => stop(&service),
            _ = interrupt.recv() => stop(&service),
            _ = hangup.recv() => match reload(context, &config, &service).await {
                Ok(()) => info!("the rules were read again"),
                Err(refusal) => error!("the new rules are refused, the old ones go on: {refusal:#}"),
            },
        }
    }
}

/// Puts the rules of the current file in place, next to what `running` keeps until a restart.
async fn reload(context: &Context, running: &Config, service: &Service) -> anyhow::Result<()> {
    let config = running.reloaded(context.load()?);
    let mapping = rules(context, &config).await?;
    service.reload(&config, mapping)
}

/// Resolves and compiles the rules; warns if the triggers are not those that the rules need.
async fn rules(context: &Context, config: &Config) -> anyhow::Result<Arc<Mapping>> {
    let pool = context.pool(config).await?;
    let watches = context.resolve(&pool, config).await?;
    if !capture::plan(&pool, config, &watches).await?.is_empty() {
        tracing::warn!("the database is not as instant.toml wants it; see `instant plan`, then run `instant apply`");
    }
    pool.close().await;
    let mapping = Mapping::compile(&watches, config.site.as_deref(), &config.prefix)?;
    Ok(Arc::new(mapping))
}

/// `RUST_LOG` sets what is logged; events only with `--events`.
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

fn stop(service: &Service) {
    info!("stopping: publications in flight are finished first");
    systemd::stopping();
    service.stop();
}
