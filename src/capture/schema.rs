//! The schema `instant`: its migrations, its version, and its objects.

use std::cmp::Ordering;

use sqlx::migrate::{Migration, Migrator};
use sqlx::{PgConnection, PgPool};

/// The migrations, embedded in the binary.
static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The table in which sqlx records the migrations that have run; in the schema, so that nothing of ours is outside of it.
pub(super) const MIGRATIONS_TABLE: &str = "instant._sqlx_migrations";

/// The migrations that lock the outbox against triggers, which give their changes up after 50 ms. Each is one statement that may run
/// again: in a transaction with the record that it has run, it would keep the lock for three more round trips.
const WITHOUT_TRANSACTION: [i64; 1] = [8];

/// The relations that the migrations make, in an order in which they can be dropped.
pub(super) const TABLES: [&str; 5] = ["outbox", "relay", "dead_letter", "announcement", "_sqlx_migrations"];

/// The functions that the migrations make, with the types of their arguments.
pub(super) const FUNCTIONS: [&str; 2] = [BROADCAST, ANNOUNCE];

/// The function that sends a message by hand.
pub(super) const BROADCAST: &str = "instant.broadcast(text, text, text, json, text, text, text)";

/// The function that triggers call while the relay dozes.
pub(super) const ANNOUNCE: &str = "instant.announce(bigint, timestamptz, text, \"char\", json, json)";

/// The sequences that the migrations make in addition to those of columns.
pub(super) const SEQUENCES: [&str; 1] = ["lost"];

/// The schema in the database, compared with this binary's migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// It does not exist.
    Missing,
    /// Its tables exist, and no migration is recorded: it was restored without its rows.
    WithoutRows,
    /// Some migrations of this binary have not run.
    Older,
    /// All migrations of this binary have run, and no others.
    Current,
    /// It was migrated by a newer binary.
    Newer,
}

/// Reads the schema's version. Takes no lock that another session could wait for.
///
/// # Errors
/// When the database does not answer, or the role may not read the migrations' table.
pub async fn state(pool: &PgPool) -> Result<SchemaState, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("select to_regclass('instant._sqlx_migrations') is not null")
        .fetch_one(pool)
        .await?;
    if !exists {
        return Ok(SchemaState::Missing);
    }
    let (version, has_outbox): (Option<i64>, bool) = sqlx::query_as(
        "select (select max(version) from instant._sqlx_migrations where success), to_regclass('instant.outbox') is not null",
    )
    .fetch_one(pool)
    .await?;
    if version.is_none() && has_outbox {
        return Ok(SchemaState::WithoutRows);
    }
    let known = MIGRATOR.iter().map(|migration| migration.version).max();
    Ok(match version.cmp(&known) {
        Ordering::Less => SchemaState::Older,
        Ordering::Equal => SchemaState::Current,
        Ordering::Greater => SchemaState::Newer,
    })
}

/// Runs the pending migrations, without sqlx's own lock: that one waits inside a statement and so holds back vacuum. The caller holds
/// ours.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), sqlx::migrate::MigrateError> {
    let migrations = MIGRATOR.iter().cloned().map(|migration| Migration {
        no_tx: WITHOUT_TRANSACTION.contains(&migration.version),
        ..migration
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.create_schema("instant");
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrator.set_locking(false);
    migrator.run(connection).await
}

/// Iterates over the migrations, in order.
pub(super) fn migrations() -> impl Iterator<Item = &'static Migration> {
    MIGRATOR.iter()
}
