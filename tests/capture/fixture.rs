//! A database with tables and watches, and the contents of its outbox.

use std::path::PathBuf;

use instant::capture::watch::Watch;
use instant::capture::{self, Plan, Progress, Resolved};
use instant::config::{Config, Source};
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::support::capture::replace;
use crate::support::postgres::{self, Database};

/// A watched database.
pub(super) struct Fixture {
    /// Its database.
    pub(super) database: Database,
    /// The connection for commands.
    pub(super) pool: PgPool,
    /// An application's session.
    pub(super) client: Client,
}

/// One change in the outbox: the operation's letter, and the captured old and new versions.
#[derive(Debug, PartialEq)]
pub(super) struct Captured {
    pub(super) source: String,
    pub(super) op: char,
    pub(super) old: Option<String>,
    pub(super) new: Option<String>,
}

impl Captured {
    /// The new version.
    pub(super) fn new_row(&self) -> Value {
        parsed(self.new.as_ref())
    }

    /// The old version.
    pub(super) fn old_row(&self) -> Value {
        parsed(self.old.as_ref())
    }
}

fn parsed(text: Option<&String>) -> Value {
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

impl Fixture {
    /// A database with the tables that `sql` creates, without Instant.
    pub(super) async fn without_watches(version: u32, sql: &str) -> Self {
        let database = postgres::database(version).await;
        Self::on(database, sql).await
    }

    /// The same on this database.
    pub(super) async fn on(database: Database, sql: &str) -> Self {
        let pool = PgPoolOptions::new().max_connections(3).connect(&database.url).await.unwrap();
        let client = database.connect().await;
        client.batch_execute(sql).await.unwrap();
        Self { database, pool, client }
    }

    /// A database with the tables that `sql` creates and the watches of `toml` applied.
    pub(super) async fn new(version: u32, sql: &str, toml: &str) -> Self {
        let fixture = Self::without_watches(version, sql).await;
        fixture.apply(toml).await;
        fixture
    }

    /// Resolves the names of `toml`.
    pub(super) async fn resolve(&self, toml: &str) -> Resolved {
        capture::resolve(&self.pool, &config(toml)).await.unwrap()
    }

    /// What `apply` would do.
    pub(super) async fn plan(&self, toml: &str) -> Plan {
        self.try_plan(toml).await.unwrap()
    }

    /// What `apply` would do, or why it would refuse.
    pub(super) async fn try_plan(&self, toml: &str) -> Result<Plan, capture::Error> {
        capture::plan(&self.pool, &config(toml), &self.watches(toml).await).await
    }

    /// The watches of `toml`, all of whose names resolve.
    pub(super) async fn watches(&self, toml: &str) -> Vec<Watch> {
        let resolved = self.resolve(toml).await;
        assert!(!resolved.diagnostics.has_errors(), "{:?}", resolved.diagnostics);
        resolved.watches
    }

    /// Applies the watches of `toml`; returns the changes made.
    pub(super) async fn apply(&self, toml: &str) -> Vec<String> {
        let watches = self.watches(toml).await;
        let mut done = Vec::new();
        let progress = |step: &capture::Step, progress| {
            if matches!(progress, Progress::Done(_)) {
                done.push(step.action.clone());
            }
        };
        capture::apply(&self.pool, &config(toml), &watches, progress).await.unwrap();
        done
    }

    /// The script for a DBA.
    pub(super) async fn script(&self, toml: &str) -> String {
        let resolved = self.resolve(toml).await;
        capture::script(&self.pool, &config(toml), &resolved.watches).await.unwrap()
    }

    /// Removes a mechanism from the function of the table `item`.
    pub(super) async fn without(&self, part: &str, instead: &str) {
        replace(&self.client, "capture_public_item", part, instead).await;
    }

    /// The code of the error of the application's statements; `None` if they succeed.
    pub(super) async fn refusal(&self, sql: &str) -> Option<SqlState> {
        let refused = self.client.batch_execute(sql).await.err();
        if refused.is_some() {
            self.client.batch_execute("rollback").await.unwrap();
        }
        refused.map(|error| error.code().expect("PostgreSQL says why").clone())
    }

    /// Runs statements as the application; each call is a transaction unless its statements say otherwise.
    pub(super) async fn run(&self, sql: &str) {
        if let Err(error) = self.client.batch_execute(sql).await {
            panic!("{sql}: {error:?}");
        }
    }

    /// The changes captured since the last call, in order.
    pub(super) async fn changes(&self) -> Vec<Captured> {
        let rows = self
            .client
            .query(
                "with taken as (delete from instant.outbox returning *)
                 select source, op::text, old::text, new::text from taken order by id",
                &[],
            )
            .await
            .unwrap();
        rows.iter()
            .map(|row| Captured {
                source: row.get(0),
                op: row.get::<_, String>(1).chars().next().unwrap(),
                old: row.get(2),
                new: row.get(3),
            })
            .collect()
    }

    /// The only change captured since the last call.
    pub(super) async fn change(&self) -> Captured {
        let mut changes = self.changes().await;
        assert_eq!(changes.len(), 1, "{changes:?}");
        changes.remove(0)
    }

    /// The changes that were given up.
    pub(super) async fn lost(&self) -> i64 {
        self.one("select case when is_called then last_value + 1 else 0 end from instant.lost")
            .await
    }

    /// A number from the database.
    pub(super) async fn one(&self, query: &str) -> i64 {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }
}

/// `instant.toml` with these watches.
pub(super) fn config(watches: &str) -> Config {
    let source = Source {
        path: PathBuf::from("instant.toml"),
        text: format!("[database]\nurl = 'postgres://localhost/unused'\n{watches}").into(),
    };
    let (config, diagnostics) = Config::parse(source, &|_| None);
    config.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

/// A watch of `table` with these fields and one rule for every operation.
pub(super) fn watch(table: &str, fields: &str) -> String {
    format!("[[watch]]\ntable = '{table}'\nfields = [{fields}]\n[[watch.rule]]\ntarget = 'public'\n")
}
