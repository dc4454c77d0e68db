//! Pause and resume: an operator stops capture at once.
//!
//! The trigger functions are replaced by ones that do nothing. That takes no lock on any table, so it neither waits for a busy
//! table nor makes one wait, and it costs nothing while capture is not paused; disabling triggers would do both.

use sqlx::{AssertSqlSafe, PgPool};

use super::apply::{Error, locked, unlock};
use super::identifier::identifier;
use super::installed;

/// The text of a function while capture is paused. `plan` knows it by this text.
pub(super) const PAUSED: &str = "
-- Paused by `instant pause`; `instant resume` captures again.
begin
    return null;
end
";

/// The functions that are paused, by name.
///
/// # Errors
/// When the database does not answer.
pub async fn paused(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    let functions = installed::functions(pool).await?;
    let paused = functions.into_iter().filter(|found| found.body == PAUSED);
    Ok(paused.map(|found| found.name).collect())
}

/// Makes every trigger function do nothing, all in one transaction; returns how many there are. Writes go on, and nothing of them
/// is captured from their next statement on.
///
/// # Errors
/// When the functions are another role's, or another `apply` is under way.
pub async fn pause(pool: &PgPool) -> Result<usize, Error> {
    let functions = installed::functions(pool).await?;
    if functions.is_empty() {
        return Ok(0);
    }
    let statements: Vec<String> = functions
        .iter()
        .map(|found| {
            format!(
                "create or replace function instant.{}() returns trigger language plpgsql security definer \
                 set search_path = pg_catalog, pg_temp as $instant${PAUSED}$instant$",
                identifier(&found.name)
            )
        })
        .collect();
    let mut connection = locked(pool).await?;
    // Several statements sent at once are one transaction. The text is generated, and its names are quoted.
    let done = sqlx::raw_sql(AssertSqlSafe(statements.join(";\n")))
        .execute(&mut connection)
        .await;
    let unlocked = unlock(connection).await;
    done.map_err(|source| Error::Step {
        action: "pause".to_owned(),
        source,
    })?;
    unlocked?;
    Ok(functions.len())
}

/// Counts one loss for all that was not captured during a pause, so that subscribers are told to load again what they show.
///
/// # Errors
/// When the database does not answer, or the role may not count.
pub async fn count_pause(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("select nextval('instant.lost')").execute(pool).await.map(drop)
}
