//! The contestants, which carry changes to subscribers.

pub(crate) mod classic;
pub(crate) mod consumer;
pub(crate) mod django;
pub(crate) mod instant;
pub(crate) mod limit;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::{JoinError, JoinSet};

use crate::ground::Ground;
use crate::meter;
use crate::support::centrifugo::Centrifugo;
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

/// The API key of every server.
pub(crate) const API_KEY: &str = "an api key";

/// Concurrent requests: the relay's lanes. The consumer has as many partitions, and publications without Instant have as many senders.
pub(crate) const LANES: usize = 8;

/// A running contestant.
pub(crate) struct Running {
    /// Centrifugo, or the hub, whose API and socket are the same.
    pub(crate) server: Centrifugo,
    /// Instant, if it is the contestant.
    pub(crate) instant: Option<Process>,
    /// Whether subscribers are connected to Instant itself.
    pub(crate) is_hub: bool,
    /// When it began to work: the relay leads, or Centrifugo answers.
    pub(crate) since: Instant,
    /// The contestant's tasks in this process.
    tasks: JoinSet<()>,
}

impl Running {
    /// Centrifugo, which works by itself or receives publications.
    pub(crate) fn at(server: Centrifugo) -> Self {
        Self {
            server,
            instant: None,
            is_hub: false,
            since: Instant::now(),
            tasks: JoinSet::new(),
        }
    }

    /// The number of publications that the server has received.
    pub(crate) async fn published(&self, ground: &Ground) -> u64 {
        let (name, label) = if self.is_hub {
            ("instant_publish_lag_seconds_count", "")
        } else {
            ("centrifugo_node_messages_received_count", "type=\"publication\"")
        };
        meter::counter(&ground.http, &self.server.url, name, label).await
    }

    /// The processor time of the relay and the server so far.
    pub(crate) fn cpu(&self) -> (Duration, Duration) {
        let relay = self
            .instant
            .as_ref()
            .map_or(Duration::ZERO, |process| meter::cpu(process.id()));
        let server = if self.is_hub {
            Duration::ZERO
        } else {
            meter::cpu(self.server.id())
        };
        (relay, server)
    }

    /// Waits until the server has received this many publications.
    pub(crate) async fn carried(&mut self, ground: &Ground, publications: u64) {
        eventually(SOON * 3, "every publication", async || {
            if let Some(Err(error)) = self.tasks.try_join_next() {
                std::panic::resume_unwind(error.into_panic());
            }
            (self.published(ground).await >= publications).then_some(())
        })
        .await;
    }

    /// Stops the relay as an operator would, and then the server.
    pub(crate) async fn stop(mut self) {
        if let Some(instant) = &mut self.instant {
            instant.signal("TERM").await;
            instant.wait(SOON).await;
        }
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next().await {
            if let Some(panic) = ended.err().filter(JoinError::is_panic) {
                std::panic::resume_unwind(panic.into_panic());
            }
        }
        if !self.is_hub {
            self.server.stop().await;
        }
    }
}

/// The real server on this port, with these top-level parts of its configuration in addition to the common ones.
pub(crate) async fn centrifugo(port: u16, more: Value) -> Centrifugo {
    let mut config = json!({
        "http_server": { "address": "127.0.0.1", "port": port },
        "http_api": { "key": API_KEY },
        "client": { "allowed_origins": ["*"], "allow_anonymous_connect_without_token": true },
        "channel": { "without_namespace": {
            "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
        } },
        "prometheus": { "enabled": true },
        "health": { "enabled": true },
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Centrifugo::configured(&config).await
}

/// The event of an update in SQL, as a project's own trigger would build it with `build`, for a channel that is an SQL expression.
fn event(build: &str, channel: &str) -> String {
    format!(
        "{build}('event_class', 'order_changed', 'message', 'Your order has changed', 'channel', {channel}, 'site', 'Shop',
            'data', {build}('status', new.status, 'total', new.total::text, 'customer_id', new.customer_id),
            'id', new.id || '-' || pg_current_xact_id(), 'at', clock_timestamp(), 'model', 'bench_order', 'op', 'update',
            'pk', new.id)"
    )
}

/// The condition under which such a trigger ignores an update: it changes only other columns.
const UNCHANGED: &str = "(new.status, new.total, new.customer_id) is not distinct from (old.status, old.total, old.customer_id)";
