//! `instant dev`: everything for development, in one process.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, warn};
use tracing_subscriber::EnvFilter;

use super::service::Service;
use super::tail::{Filter, Rules, Tail};
use super::{Context, exit, step};
use crate::capture::watch::Watch;
use crate::capture::{self, SchemaState};
use crate::config::{Config, Server};
use crate::mapping::Mapping;
use crate::relay::Role;

/// Between two checks of instant.toml.
const LOOK: Duration = Duration::from_millis(300);
/// Before the outbox is followed again after PostgreSQL was unavailable.
const PAUSE: Duration = Duration::from_secs(1);

/// Run everything for development: apply, publish through the hub, show changes, reload a changed file.
///
/// A changed instant.toml is applied immediately. `[centrifugo]` is ignored, and pages of `runserver` may connect.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  instant dev\n  instant dev --clean\n  instant dev --model shop.Order")]
pub(super) struct Args {
    /// Remove everything of Instant from the database on exit, if nothing was there before.
    #[arg(long)]
    clean: bool,
    #[command(flatten)]
    shown: Filter,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut project = Project::open(context)?;
    let config = project.read()?;
    start_log();
    let pool = context.pool(&config).await?;
    let is_new = capture::schema_state(&pool).await? == SchemaState::Missing;
    // Not all watches of a file with errors, which are reported later, are found.
    let resolved = capture::resolve(&pool, &config).await?;
    pool.close().await;
    if !resolved.diagnostics.has_errors() && args.shown.names_unknown(&resolved.watches)? {
        return Ok(ExitCode::from(exit::USAGE));
    }
    let installed = install(context, &config).await;
    let ended = match installed {
        Ok((watches, mapping)) => serve(&args, &mut project, &config, &watches, mapping).await,
        Err(error) => Err(error),
    };
    if args.clean {
        clean(context, &config, is_new).await?;
    }
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// Runs until Ctrl-C or SIGTERM, or until something fails.
async fn serve(
    args: &Args,
    project: &mut Project<'_>,
    config: &Config,
    watches: &[Watch],
    mapping: Mapping,
) -> anyhow::Result<()> {
    let mapping = Arc::new(mapping);
    let (replace, rules) = watch::channel(Rules::new(watches, Arc::clone(&mapping)));
    let mut service = Box::pin(Service::start(config, async { Ok(mapping) })).await?;
    let tail = follow(config.clone(), args.shown.clone(), rules);
    let mut role = service.roles();
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            Ok(()) = role.changed() => match *role.borrow_and_update() {
                Role::Leading => greet(config, service.invite()?.as_deref())?,
                Role::Standby => warn!("another `instant run` or `instant dev` leads on this database: this one waits until it ends"),
                Role::Starting | Role::Reconnecting => {}
            },
            ended = service.ended() => {
                tail.abort();
                return service.finish(ended).await;
            }
            _ = interrupted.recv() => service.stop(),
            _ = terminated.recv() => service.stop(),
            () = project.changed() => match reload(project, config, &service, &replace).await {
                Ok(count) => writeln!(anstream::stdout(), "instant.toml was read again; watched tables: {count}")?,
                Err(refusal) => error!("the new rules are refused, the old ones go on: {refusal:#}"),
            },
        }
    }
}

/// Applies the file as it is now, and puts its rules in place; returns the number of watched tables.
async fn reload(
    project: &mut Project<'_>,
    running: &Config,
    service: &Service,
    tail: &watch::Sender<Arc<Rules>>,
) -> anyhow::Result<usize> {
    let config = running.reloaded(project.read()?);
    let (watches, mapping) = install(project.context, &config).await?;
    let mapping = Arc::new(mapping);
    service.reload(&config, Arc::clone(&mapping))?;
    tail.send_replace(Rules::new(&watches, mapping));
    Ok(watches.len())
}

/// Applies the configuration; returns its watches and its rules.
async fn install(context: &Context, config: &Config) -> anyhow::Result<(Vec<Watch>, Mapping)> {
    let pool = context.pool(config).await?;
    let watches = context.resolve(&pool, config).await?;
    // Rules that cannot be used are reported before anything changes.
    let mapping = Mapping::compile(&watches, config.site.as_deref(), &config.prefix)?;
    let applied = capture::apply(&pool, config, &watches, step::report).await?;
    pool.close().await;
    if !applied.paused.is_empty() {
        warn!("capture is paused; `instant resume` captures again");
    }
    Ok((watches, mapping))
}

/// Shows changes as they are committed, in a separate task, also after PostgreSQL was unavailable.
fn follow(config: Config, shown: Filter, rules: watch::Receiver<Arc<Rules>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let followed = async { Tail::open(&config, shown.clone(), rules.clone()).await?.follow().await };
            if let Err(error) = followed.await {
                warn!("changes cannot be shown for now: {error:#}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

/// Removes from the database what this command has installed.
async fn clean(context: &Context, config: &Config, is_new: bool) -> anyhow::Result<()> {
    if !is_new {
        writeln!(
            anstream::stderr(),
            "nothing was removed: Instant was in the database before; to remove it, run `instant remove`"
        )?;
        return Ok(());
    }
    let pool = context.pool(config).await?;
    let watches = capture::resolve(&pool, config).await?.watches;
    capture::remove(&pool, config, &watches, step::report).await?;
    writeln!(anstream::stdout(), "done: nothing of Instant is left in the database")?;
    Ok(())
}

/// Prints where everything is.
fn greet(config: &Config, live: Option<&str>) -> anyhow::Result<()> {
    let mut stdout = anstream::stdout().lock();
    let url = config.server.as_ref().map_or_else(String::new, |server| server.url.clone());
    writeln!(stdout, "hub        {}/connection/websocket", url.replacen("http", "ws", 1))?;
    writeln!(stdout, "script     <script src=\"{url}/instant.js\"></script>")?;
    if let Some(path) = live {
        writeln!(stdout, "live page  {url}{path}")?;
    }
    if config.django.is_none() {
        writeln!(
            stdout,
            "users      everyone is anonymous and receives only `public`: instant.toml has no [django]"
        )?;
    }
    writeln!(stdout, "waiting for changes; press Ctrl-C to stop")?;
    Ok(())
}

/// The configuration file of a project that is being worked on.
struct Project<'a> {
    context: &'a Context,
    path: PathBuf,
    /// The file as it was last read.
    text: String,
}

impl<'a> Project<'a> {
    fn open(context: &'a Context) -> anyhow::Result<Self> {
        let path = context.path()?;
        let text = String::new();
        Ok(Self { context, path, text })
    }

    /// The configuration for development: with the hub, and with the pages of `runserver`.
    fn read(&mut self) -> anyhow::Result<Config> {
        self.text = std::fs::read_to_string(&self.path).with_context(|| format!("{} cannot be read", self.path.display()))?;
        let mut config = self.context.load()?;
        config.centrifugo = None;
        config.server.get_or_insert_with(Server::default).allow_development();
        Ok(config)
    }

    /// Waits until the file's text changes. A missing file is being written.
    async fn changed(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let text = std::fs::read_to_string(&self.path);
            if text.is_ok_and(|text| text != self.text && !text.is_empty()) {
                return;
            }
        }
    }
}

/// `RUST_LOG` sets what is logged; only warnings otherwise, next to what is shown.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
