//! The relay's sessions on the outbox, without a relay: the cursor, plans, the purge, and what an old snapshot keeps.

mod cursor;
mod horizon;
mod plans;
mod purge;
mod within;

use std::collections::BTreeSet;
use std::path::PathBuf;

use instant::outbox::{Leader, Position, Reader};
use secrecy::SecretString;
use tokio_postgres::Client;

use crate::support::cache::manifest;
use crate::support::postgres::{Cluster, Database};

/// Instant's own tables and functions: all migrations.
pub(crate) fn schema() -> String {
    let folder = std::fs::read_dir(manifest("migrations")).unwrap();
    let files: BTreeSet<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

/// A database with Instant's own tables, which nothing fills.
struct Outbox {
    database: Database,
    url: SecretString,
    client: Client,
}

impl Outbox {
    /// A database on a cluster of its own: an open transaction in any other database delays the purge.
    async fn alone(version: u32) -> Self {
        Self::on(Cluster::start_new(version, &[]).await.database().await).await
    }

    async fn on(database: Database) -> Self {
        let client = database.connect().await;
        client.batch_execute(&schema()).await.unwrap();
        let url = SecretString::from(database.url.clone());
        Self { database, url, client }
    }

    async fn leader(&self) -> Leader {
        Leader::elect(&self.url, None, || ()).await.unwrap()
    }

    async fn reader(&self, leader: &Leader) -> Reader {
        Reader::open(&self.url, leader.cursor().await.unwrap()).await.unwrap()
    }

    async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// A number from the database.
    async fn one(&self, query: &str) -> i64 {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Changes of one transaction, a day old.
    async fn write(&self, changes: u32) {
        self.run(&format!(
            "insert into instant.outbox (source, op, new, at)
             select 'x', 'I', '{{}}', clock_timestamp() - interval '1 day' from generate_series(1, {changes})"
        ))
        .await;
    }
}

/// The ids of the next page, and the position where the window ended with it.
async fn page(reader: &mut Reader) -> (Vec<i64>, Option<Position>) {
    let mut page = reader.page().await.unwrap();
    let mut ids = Vec::new();
    while let Some(row) = page.next().await.unwrap() {
        ids.push(row.change().unwrap().id);
    }
    let ended = page.end(ids.last().copied()).await.unwrap();
    (ids, ended)
}

/// The ids of all changes that are left to read.
async fn rest(reader: &mut Reader) -> Vec<i64> {
    let mut ids = Vec::new();
    loop {
        let (read, ended) = page(reader).await;
        ids.extend(read);
        if ended.is_some() {
            return ids;
        }
    }
}
