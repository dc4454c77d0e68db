//! The common ground of the contestants: one PostgreSQL server, configured as for production, and databases with a ten-column table.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::support::django::Django;
use crate::support::postgres::{Cluster, Database, connect};

/// The PostgreSQL version that everything is measured on.
pub(crate) const VERSION: u32 = 18;

/// Settings that the tests switch off for speed are on, and no checkpoint falls into a measurement by chance.
const SETTINGS: [&str; 9] = [
    "fsync=on",
    "full_page_writes=on",
    "wal_level=replica",
    "max_wal_senders=10",
    "shared_buffers=1GB",
    "max_wal_size=16GB",
    "checkpoint_timeout=1h",
    // `idle` reads a relay's queries from the log.
    "log_line_prefix='%a '",
    "log_checkpoints=off",
];

/// Three of its ten columns are captured, in addition to the key.
const TABLE: &str = "create table bench_order (
    id bigint primary key, number text not null, status text not null, total numeric(12, 2) not null,
    customer_id bigint not null, note text not null, address text not null, weight double precision not null,
    created_at timestamptz not null, updated_at timestamptz not null
)";

/// The number of customers, and so of channels of rules for customers.
pub(crate) const CUSTOMERS: u64 = 100;

/// The statement whose changes are a backlog.
pub(crate) const UPDATE: &str = "update bench_order set total = total + 1";

/// The server.
pub(crate) struct Ground {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) http: reqwest::Client,
    /// The names of the databases that exist.
    made: Mutex<Vec<String>>,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        Self {
            cluster: Cluster::start_new(VERSION, &SETTINGS).await,
            http: reqwest::Client::new(),
            made: Mutex::default(),
        }
    }

    /// A database of a Django project, with this many orders.
    pub(crate) async fn database(&self, orders: u64) -> Database {
        let database = Django::new(&self.cluster).await.database;
        self.made().push(database.name.clone());
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

    /// Finishes background work before a measurement.
    pub(crate) async fn settle(&self, database: &Database) {
        let client = database.connect().await;
        client.batch_execute("vacuum analyze").await.unwrap();
        client.batch_execute("checkpoint").await.unwrap();
    }

    /// Performs a checkpoint, so that none is due soon.
    pub(crate) async fn checkpoint(&self) {
        let admin = connect(&self.cluster.url("postgres")).await;
        admin.batch_execute("checkpoint").await.unwrap();
    }

    /// Drops every database, since they would be cleaned up in the background meanwhile.
    pub(crate) async fn clear(&self) {
        let names = std::mem::take(&mut *self.made());
        let admin = connect(&self.cluster.url("postgres")).await;
        for name in names {
            let statement = format!("drop database {name} with (force)");
            admin.batch_execute(&statement).await.unwrap();
        }
        admin.batch_execute("checkpoint").await.unwrap();
    }

    fn made(&self) -> MutexGuard<'_, Vec<String>> {
        self.made.lock()
    }
}
