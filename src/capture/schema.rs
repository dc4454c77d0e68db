//! The schema `instant`: its migrations, its version, and what belongs to it.

use std::cmp::Ordering;

use sqlx::migrate::{Migration, Migrator};
use sqlx::{PgConnection, PgPool};

/// The migrations, in the binary.
static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// Where sqlx keeps what it has run, so that nothing of ours is outside of the schema.
pub(super) const MIGRATIONS_TABLE: &str = "instant._sqlx_migrations";

/// The relations that the migrations make, in an order in which they can be dropped.
pub(super) const TABLES: [&str; 5] = ["outbox", "relay", "dead_letter", "announcement", "_sqlx_migrations"];

/// The functions that the migrations make, with the types of their arguments.
pub(super) const FUNCTIONS: [&str; 2] = [BROADCAST, ANNOUNCE];

/// The push by hand.
pub(super) const BROADCAST: &str = "instant.broadcast(text, text, text, json, text, text, text)";

/// What triggers call while the relay sleeps.
pub(super) const ANNOUNCE: &str = "instant.announce(bigint, timestamptz, text, \"char\", json, json)";

/// The sequences that the migrations make beside those of columns.
pub(super) const SEQUENCES: [&str; 1] = ["lost"];

/// The schema in the database, compared with what this binary knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// There is none.
    Missing,
    /// Its tables are there, and no migration is recorded: it was restored without its rows.
    WithoutRows,
    /// Migrations of this binary have not run.
    Older,
    /// As this binary wants it.
    Current,
    /// Migrated by a newer binary.
    Newer,
}

/// Reads the schema's version. Takes no lock that anyone could wait for.
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

/// Runs the migrations that have not run. sqlx's own lock is left out: it waits inside a statement and so holds back vacuum; the
/// caller holds ours.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), sqlx::migrate::MigrateError> {
    let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().collect());
    migrator.create_schema("instant");
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrator.set_locking(false);
    migrator.run(connection).await
}

/// The migrations, in order.
pub(super) fn migrations() -> impl Iterator<Item = &'static Migration> {
    MIGRATOR.iter()
}
