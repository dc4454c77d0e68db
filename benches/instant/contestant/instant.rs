//! Instant: the release binary, run as users run it, with Centrifugo or with its hub.

use std::time::{Duration, Instant as Moment};

use serde_json::json;
use tempfile::TempDir;

use super::{API_KEY, Running, centrifugo};
use crate::support::centrifugo::Centrifugo;
use crate::support::postgres::{Database, free_port};
use crate::support::process::{Process, instant};
use crate::support::wait::{SOON, within};

/// Every order to its customer: a hundred channels, no template.
pub(crate) const CONSTANTS: &str = "
[[watch]]
table = 'bench_order'
fields = ['status', 'total', 'customer_id']
[[watch.rule]]
target = { user = 'customer_id' }
event_class = 'order_changed'
message = 'Your order has changed'
";

/// The same with two templates.
pub(crate) const TEMPLATES: &str = "
[[watch]]
table = 'bench_order'
fields = ['status', 'total', 'customer_id']
[[watch.rule]]
target = { user = 'customer_id' }
event_class = 'order_{{ row.status }}'
message = 'Order {{ pk }} is {{ row.status }}'
";

/// Every order to everyone.
pub(crate) const PUBLIC: &str = "
[[watch]]
table = 'bench_order'
fields = ['status', 'total', 'customer_id']
[[watch.rule]]
target = 'public'
event_class = 'order_changed'
message = 'Your order has changed'
";

/// Where publications go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// To its HTTP API.
    Centrifugo,
    /// To its gRPC API.
    Grpc,
    Hub,
    /// To a server that is already running.
    Port(u16),
}

/// An `instant.toml` for a database.
pub(crate) struct Instant {
    folder: TempDir,
    port: u16,
    /// The port of the gRPC API.
    grpc_port: u16,
    to: To,
}

impl Instant {
    /// Writes it.
    pub(crate) fn new(database: &Database, to: To, rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = match to {
            To::Port(port) => port,
            To::Centrifugo | To::Grpc | To::Hub => free_port(),
        };
        let grpc_port = free_port();
        let grpc = if to == To::Grpc {
            format!("grpc_url = 'http://127.0.0.1:{grpc_port}'\n")
        } else {
            String::new()
        };
        let server = match to {
            To::Hub => format!(
                "[hub]\napi_key = '{API_KEY}'\n[server]\nlisten = '127.0.0.1:{port}'\nallowed_origins = ['http://shop.example']\n"
            ),
            To::Centrifugo | To::Port(_) | To::Grpc => format!(
                "[centrifugo]\nurl = 'http://127.0.0.1:{port}'\napi_key = '{API_KEY}'\n{grpc}[server]\nlisten = '127.0.0.1:{}'\n",
                free_port()
            ),
        };
        let text = format!(
            "site = 'Shop'\n[database]\nurl = '{}'\n[django]\nsecret_key = 'a key for tests and demos'\n{server}{rules}",
            database.url
        );
        std::fs::write(folder.path().join("instant.toml"), text).unwrap();
        Self {
            folder,
            port,
            grpc_port,
            to,
        }
    }

    /// Installs the triggers; returns how long that takes.
    pub(crate) async fn apply(&self) -> Duration {
        let started = Moment::now();
        let applied = instant(self.folder.path(), &["apply"], &[]).await;
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        started.elapsed()
    }

    /// Starts Centrifugo, then Instant, and returns once it leads.
    pub(crate) async fn start(&self) -> Running {
        let url = format!("http://127.0.0.1:{}", self.port);
        let server = match self.to {
            To::Centrifugo => centrifugo(self.port, json!({})).await,
            To::Grpc => {
                let grpc = json!({ "enabled": true, "address": "127.0.0.1", "port": self.grpc_port, "key": API_KEY });
                centrifugo(self.port, json!({ "grpc_api": grpc })).await
            }
            To::Hub => Centrifugo::at(&url, API_KEY),
            To::Port(_) => unreachable!("the running server is not started or stopped here"),
        };
        let instant = self.run().await;
        Running {
            instant: Some(instant),
            is_hub: self.to == To::Hub,
            ..Running::at(server)
        }
    }

    /// Starts only Instant.
    pub(crate) async fn run(&self) -> Process {
        let process = Process::instant(self.folder.path(), &["run"], &[]);
        within(SOON * 3, "leading", async {
            // The clock begins here.
            while !process.output().contains("leading") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        process
    }
}

/// The relay's current cursor, which [`rewind`] restores.
pub(crate) async fn cursor(database: &Database) -> String {
    let client = database.connect().await;
    let row = client.query_one("select pg_current_snapshot()::text", &[]).await.unwrap();
    row.get(0)
}

/// Turns every change since then into a backlog again. No relay may be running.
pub(crate) async fn rewind(database: &Database, cursor: &str) {
    let client = database.connect().await;
    client
        .execute(
            "update instant.relay set snapshot = $1::text::pg_snapshot, until = null, after = null",
            &[&cursor],
        )
        .await
        .unwrap();
}
