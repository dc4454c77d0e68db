//! Who carries changes to listeners.

pub(crate) mod classic;
pub(crate) mod consumer;
pub(crate) mod django;
pub(crate) mod instant;
pub(crate) mod limit;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::ground::Ground;
use crate::meter;
use crate::support::centrifugo::Centrifugo;
use crate::support::process::Process;
use crate::support::wait::SOON;

/// The key of every server's API.
pub(crate) const API_KEY: &str = "an api key";

/// A contestant at work.
pub(crate) struct Running {
    /// Centrifugo, or the hub, whose API and socket are the same.
    pub(crate) server: Centrifugo,
    /// Instant, where it is the contestant.
    pub(crate) instant: Option<Process>,
    /// Whether listeners are connected to Instant itself.
    pub(crate) is_hub: bool,
    /// What works in this process.
    tasks: JoinSet<()>,
}

impl Running {
    /// How many publications the server has had.
    pub(crate) async fn published(&self, ground: &Ground) -> u64 {
        let (name, label) = if self.is_hub {
            ("instant_publish_lag_seconds_count", "")
        } else {
            ("centrifugo_node_messages_received_count", "type=\"publication\"")
        };
        meter::counter(&ground.http, &self.server.url, name, label).await
    }

    /// What the relay and the server have cost so far.
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

    /// Ends it as an operator would.
    pub(crate) async fn stop(mut self) {
        if let Some(instant) = &mut self.instant {
            instant.signal("TERM").await;
            instant.wait(SOON).await;
        }
        self.tasks.shutdown().await;
    }
}

/// The real server on this port, with these top-level parts of its configuration beside what everyone needs.
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

/// The event of an update in SQL, as a project's own trigger would build it, for a channel that is an SQL expression.
fn event(channel: &str) -> String {
    format!(
        "json_build_object('event_class', 'order_changed', 'message', 'Your order has changed', 'channel', {channel}, 'site', 'Shop',
            'data', json_build_object('status', new.status, 'total', new.total::text, 'customer_id', new.customer_id),
            'id', new.id || '-' || pg_current_xact_id(), 'at', clock_timestamp(), 'model', 'bench_order', 'op', 'update',
            'pk', new.id)"
    )
}

/// What keeps such a trigger from telling of an update of other columns.
const UNCHANGED: &str = "(new.status, new.total, new.customer_id) is not distinct from (old.status, old.total, old.customer_id)";
