//! What `run` and `dev` start: the relay, the hub or Centrifugo behind it, and the HTTP server.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::info;

use super::{NOWHERE, publisher};
use crate::config::{Config, Server};
use crate::hub::{Hub, Limits};
use crate::mapping::Mapping;
use crate::outbox::{self, Operator};
use crate::publisher::{Observers, Publisher, Tap};
use crate::relay::{Metrics, Relay, Role};
use crate::web::{self, Live, Web};

/// How the relay has ended.
type Ended = Result<Result<(), outbox::Error>, JoinError>;

/// What runs until it is stopped.
#[derive(Debug)]
pub(super) struct Service {
    relay: JoinHandle<Result<(), outbox::Error>>,
    web: Option<(Arc<Web>, JoinHandle<()>)>,
    rules: watch::Sender<Arc<Mapping>>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    /// A service that is dropped stops the relay, whose thread nothing else could end.
    _stops: DropGuard,
    /// Of the HTTP server.
    closing: CancellationToken,
}

impl Service {
    /// Starts the service of `config`, with `rules` made once the port is free and the database reachable.
    pub(super) async fn start(
        config: &Config,
        rules: impl Future<Output = anyhow::Result<Arc<Mapping>>>,
    ) -> anyhow::Result<Self> {
        let hub = hub(config)?;
        let listener = match &config.server {
            Some(server) => Some((server, listen(server).await?)),
            None => None,
        };
        // First: through a pooler everything that follows fails in confusing ways.
        drop(Operator::connect(&config.database.url).await?);
        let (replace, rules) = watch::channel(rules.await?);
        let (metrics, observers, shutdown) = (Arc::new(Metrics::default()), Observers::default(), CancellationToken::new());
        // The hub's subscribers receive publications in flight before it closes.
        let closing = hub.as_ref().map_or_else(|| shutdown.clone(), |_| CancellationToken::new());
        let web = match listener {
            Some((server, listener)) => {
                let live = Live::new(config, observers.clone(), rules.clone(), closing.clone())?;
                let web = Web::new(config, server, hub.clone(), Arc::clone(&metrics), live)?;
                Some((listener, Arc::new(web)))
            }
            None => None,
        };
        let relay = if let Some(hub) = hub {
            tokio::spawn(relay(config, Tap::new(hub, observers), rules, &metrics, &shutdown).run())
        } else {
            let server = Arc::new(publisher(config)?);
            alone(relay(config, Tap::new(server, observers), rules, &metrics, &shutdown))?
        };
        let web = web.map(|(listener, web)| {
            let serving = tokio::spawn(web::serve(listener, Arc::clone(&web), closing.clone()));
            (web, serving)
        });
        Ok(Self {
            relay,
            web,
            rules: replace,
            metrics,
            _stops: shutdown.clone().drop_guard(),
            shutdown,
            closing,
        })
    }

    /// The address of the live page that admits one browser, once.
    pub(super) fn invite(&self) -> anyhow::Result<Option<String>> {
        let path = self.web.as_ref().map(|(web, _)| web.live().invite());
        Ok(path.transpose()?)
    }

    /// The relay's role and its changes.
    pub(super) fn roles(&self) -> watch::Receiver<Role> {
        self.metrics.health().roles()
    }

    /// Puts the rules of a file that was read again in place.
    pub(super) fn reload(&self, config: &Config, rules: Arc<Mapping>) -> anyhow::Result<()> {
        if let Some((web, _)) = &self.web {
            web.reload(config)?;
        }
        self.rules.send_replace(rules);
        Ok(())
    }

    /// Asks it to stop: publications in flight are finished first.
    pub(super) fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits until the relay has ended, which must not be awaited again; waiting can be cancelled.
    pub(super) async fn ended(&mut self) -> Ended {
        (&mut self.relay).await
    }

    /// Closes the HTTP server after the relay, and returns how the relay has ended.
    pub(super) async fn finish(self, ended: Ended) -> anyhow::Result<()> {
        self.closing.cancel();
        if let Some((_, serving)) = self.web {
            // It ends by itself within a grace period.
            let _ = serving.await;
        }
        ended.context("the relay ended unexpectedly")??;
        Ok(())
    }
}

/// The hub, if there is no Centrifugo.
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
    // Nobody should subscribe where nothing is published.
    hub.admit(false);
    Ok(Some(Arc::new(hub)))
}

fn relay<P>(
    config: &Config,
    publisher: Tap<P>,
    rules: watch::Receiver<Arc<Mapping>>,
    metrics: &Arc<Metrics>,
    shutdown: &CancellationToken,
) -> Relay<Tap<P>> {
    Relay {
        database: config.database.url.clone(),
        publisher: Arc::new(publisher),
        rules,
        retention: config.retention,
        related_ttl: config.related_ttl,
        metrics: Arc::clone(metrics),
        shutdown: shutdown.clone(),
    }
}

/// Runs the relay on a thread of its own. Its tasks hand work to each other all the time, which on one thread wakes no other, whose core
/// PostgreSQL and Centrifugo can use. With the hub it stays next to the connections that receive its publications.
fn alone<P: Publisher>(relay: Relay<P>) -> anyhow::Result<JoinHandle<Result<(), outbox::Error>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(tokio::task::spawn_blocking(move || runtime.block_on(relay.run())))
}

/// Opens the server's port, so that a port in use is reported before anything starts.
async fn listen(server: &Server) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(&server.listen).await;
    let listener = listener.with_context(|| format!("`[server] listen`: {} cannot be used", server.listen))?;
    info!(listen = server.listen, "answering Centrifugo and browsers");
    Ok(listener)
}
