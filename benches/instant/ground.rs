//! What every contestant stands on: one PostgreSQL server, set as for production, and databases with a table of ten columns.

use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;

use crate::support::cache;
use crate::support::django::Django;
use crate::support::postgres::{Cluster, Database, connect};

/// The version that everything is measured on.
const VERSION: u32 = 18;

/// What the tests switch off for speed is on, and no checkpoint falls into a measurement by chance.
const SETTINGS: [&str; 9] = [
    "fsync=on",
    "full_page_writes=on",
    "wal_level=replica",
    "max_wal_senders=10",
    "shared_buffers=1GB",
    "max_wal_size=16GB",
    "checkpoint_timeout=1h",
    // `idle` reads in the log what a relay asks.
    "log_line_prefix='%a '",
    "log_checkpoints=off",
];

/// Three of its ten columns are captured, beside the key.
const TABLE: &str = "create table bench_order (
    id bigint primary key, number text not null, status text not null, total numeric(12, 2) not null,
    customer_id bigint not null, note text not null, address text not null, weight double precision not null,
    created_at timestamptz not null, updated_at timestamptz not null
)";

/// The customers, and so the channels of rules for customers.
pub(crate) const CUSTOMERS: u64 = 100;

/// The server.
pub(crate) struct Ground {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) http: reqwest::Client,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        Self {
            cluster: Cluster::start_new(VERSION, &SETTINGS).await,
            http: reqwest::Client::new(),
        }
    }

    /// A database of a Django project, with this many orders.
    pub(crate) async fn database(&self, orders: u64) -> Database {
        let database = Django::new(&self.cluster).await.database;
        let client = database.connect().await;
        client.batch_execute(TABLE).await.unwrap();
        client
            .batch_execute(&format!(
                "insert into bench_order
                 select id, 'A-' || id, 'paid', id % 1000 + 0.5, id % {CUSTOMERS}, 'Ring twice', '12 Long Lane', 1.5, now(), now()
                 from generate_series(1, {orders}) as id"
            ))
            .await
            .unwrap();
        self.settle(&database).await;
        database
    }

    /// Leaves nothing to do in the background before something is measured.
    pub(crate) async fn settle(&self, database: &Database) {
        let client = database.connect().await;
        client.batch_execute("vacuum analyze").await.unwrap();
        client.batch_execute("checkpoint").await.unwrap();
    }

    /// Gives a large database's space back.
    pub(crate) async fn drop(&self, database: Database) {
        let admin = connect(&database.admin_url).await;
        let statement = format!("drop database {} with (force)", database.name);
        admin.batch_execute(&statement).await.unwrap();
    }

    /// The transactions a second of 16 clients that run `script` for so long.
    pub(crate) async fn pgbench(&self, database: &Database, script: &str, duration: Duration) -> f64 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script.sql");
        std::fs::write(&file, script).unwrap();
        let mut command = Command::new(cache::path(&format!("postgres-{VERSION}/bin/pgbench")));
        command
            .args(["--no-vacuum", "--client=16", "--jobs=2", "--protocol=prepared"])
            .arg(format!("--time={}", duration.as_secs()))
            .arg("--file")
            .arg(&file)
            .arg(&database.url);
        let output = command.kill_on_drop(true).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = rate.and_then(|line| line.split(' ').next()?.parse().ok());
        rate.unwrap_or_else(|| panic!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}
