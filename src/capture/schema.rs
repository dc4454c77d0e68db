//! The schema `instant`: its migrations and its version.

use sqlx::migrate::Migrator;
use sqlx::{PgConnection, PgPool};

/// The migrations, in the binary.
static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The schema in the database, compared with what this binary knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// There is none.
    Missing,
    /// Migrations of this binary have not run.
    Older,
    /// As this binary wants it.
    Current,
    /// Migrated by a newer binary.
    Newer,
}

/// Reads the schema's version. Takes no lock.
///
/// # Errors
/// When the database does not answer.
pub async fn state(pool: &PgPool) -> Result<SchemaState, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("select to_regclass('instant._sqlx_migrations') is not null")
        .fetch_one(pool)
        .await?;
    if !exists {
        return Ok(SchemaState::Missing);
    }
    let version: Option<i64> = sqlx::query_scalar("select max(version) from instant._sqlx_migrations where success")
        .fetch_one(pool)
        .await?;
    let known = MIGRATOR.iter().map(|migration| migration.version).max();
    Ok(match version.cmp(&known) {
        std::cmp::Ordering::Less => SchemaState::Older,
        std::cmp::Ordering::Equal => SchemaState::Current,
        std::cmp::Ordering::Greater => SchemaState::Newer,
    })
}

/// Runs the migrations that have not run. sqlx's own table is in the schema too, so that nothing of ours is outside of it; two
/// applies at once wait for each other on sqlx's advisory lock.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), sqlx::migrate::MigrateError> {
    sqlx::raw_sql("create schema if not exists instant; set search_path = instant")
        .execute(&mut *connection)
        .await?;
    let migrated = MIGRATOR.run(&mut *connection).await;
    sqlx::raw_sql("reset search_path").execute(&mut *connection).await?;
    migrated
}

/// The migrations' texts, in order, for a person to read.
pub(super) fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    MIGRATOR
        .iter()
        .map(|migration| (migration.description.as_ref(), migration.sql.as_str()))
}
