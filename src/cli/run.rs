//! `instant run`: publishes every committed change.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use super::{Context, NOWHERE, publisher, systemd};
use crate::capture;
use crate::config::{Config, Server};
use crate::hub::{Hub, Limits};
use crate::mapping::Mapping;
use crate::outbox::Operator;
use crate::relay::{Metrics, Relay};
use crate::web::{self, Web};

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
    let hub = hub(&config)?;
    let metrics = Arc::new(Metrics::default());
    let web = match &config.server {
        Some(server) => {
            let web = Web::new(&config, server, hub.clone(), Arc::clone(&metrics))?;
            Some((listen(server).await?, Arc::new(web)))
        }
        None => None,
    };
    // First of all: through a pooler whatever follows fails in ways that only confuse.
    drop(Operator::connect(&config.database.url).await?);
    let (replace, rules) = watch::channel(Arc::new(rules(context, &config).await?));
    let shutdown = CancellationToken::new();
    // Whoever listens to the hub hears what is in flight before it closes.
    let closing = hub.as_ref().map_or_else(|| shutdown.clone(), |_| CancellationToken::new());
    let mut relay = match hub {
        Some(hub) => tokio::spawn(relay(&config, hub, rules, &metrics, &shutdown).run()),
        None => tokio::spawn(relay(&config, Arc::new(publisher(&config)?), rules, &metrics, &shutdown).run()),
    };
    tokio::spawn(systemd::tell(metrics.health().roles()));
    let (web, serving) = match web {
        Some((listener, web)) => {
            let serving = tokio::spawn(web::serve(listener, Arc::clone(&web), closing.clone()));
            (Some(web), Some(serving))
        }
        None => (None, None),
    };
    loop {
        tokio::select! {
            ended = &mut relay => {
                closing.cancel();
                if let Some(serving) = serving {
                    // It ends by itself within a grace period.
                    let _ = serving.await;
                }
                ended.context("the relay ended unexpectedly")??;
                info!("stopped");
                return Ok(ExitCode::SUCCESS);
            }
            _ = terminate.recv() => stop(&shutdown),
            _ = interrupt.recv() => stop(&shutdown),
            _ = hangup.recv() => match reload(context, web.as_deref()).await {
                Ok(mapping) => {
                    replace.send_replace(Arc::new(mapping));
                    info!("the rules were read again");
                }
                Err(refusal) => error!("the new rules are refused, the old ones go on: {refusal:#}"),
            },
        }
    }
}

/// The hub, where there is no Centrifugo.
fn hub(config: &Config) -> anyhow::Result<Option<Arc<Hub>>> {
    if config.centrifugo.is_some() {
        return Ok(None);
    }
    anyhow::ensure!(config.server.is_some(), NOWHERE);
    let limits = Limits {
        clients: config.hub.clients as usize,
        ..Limits::default()
    };
    let hub = Hub::new(config, limits);
    // Nobody is to listen where nothing is published.
    hub.admit(false);
    Ok(Some(Arc::new(hub)))
}

fn relay<P>(
    config: &Config,
    publisher: Arc<P>,
    rules: watch::Receiver<Arc<Mapping>>,
    metrics: &Arc<Metrics>,
    shutdown: &CancellationToken,
) -> Relay<P> {
    Relay {
        database: config.database.url.clone(),
        publisher,
        rules,
        retention: config.retention,
        related_ttl: config.related_ttl,
        metrics: Arc::clone(metrics),
        shutdown: shutdown.clone(),
    }
}

/// The rules of the file as it is now.
async fn reload(context: &Context, web: Option<&Web>) -> anyhow::Result<Mapping> {
    let config = context.load()?;
    let mapping = rules(context, &config).await?;
    if let Some(web) = web {
        web.reload(&config)?;
    }
    Ok(mapping)
}

/// Opens the server's port, so that a port that is taken is told before anything starts.
async fn listen(server: &Server) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(&server.listen).await;
    let listener = listener.with_context(|| format!("`[server] listen`: {} cannot be used", server.listen))?;
    info!(listen = server.listen, "answering Centrifugo and browsers");
    Ok(listener)
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
    systemd::stopping();
    shutdown.cancel();
}
