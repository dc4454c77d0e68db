//! Pause and resume: an operator stops capture immediately.
//!
//! The trigger functions are replaced by ones that do nothing. That takes no lock on any table, so it neither waits for a busy
//! table nor blocks one, and it costs nothing while capture is not paused; disabling triggers would do both.

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::apply::plan;
use super::error::Error;
use super::identifier::identifier;
use super::watch::Watch;
use super::{installed, lock};
use crate::config::Config;

/// The body of a function while capture is paused, by which `plan` recognizes it.
pub(super) const PAUSED: &str = "
-- Paused by `instant pause`; `instant resume` captures again.
begin
    return null;
end
";

/// Returns the paused functions, by name.
///
/// # Errors
/// When the database does not answer.
pub async fn paused(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    let functions = installed::functions(pool).await?;
    let paused = functions.into_iter().filter(|found| found.body == PAUSED);
    Ok(paused.map(|found| found.name).collect())
}

/// Makes every trigger function do nothing, all in one transaction, and returns their number. Writes continue, and are not captured from
/// their next statement on.
///
/// # Errors
/// When the functions belong to another role, or another `apply` does not end in time.
pub async fn pause(pool: &PgPool) -> Result<usize, Error> {
    lock::hold(pool, async |connection| {
        let functions = installed::functions(pool).await?;
        let statements = functions.iter().map(|found| {
            format!(
                "create or replace function instant.{}() returns trigger language plpgsql security definer \
                 set search_path = pg_catalog, pg_temp as $instant${PAUSED}$instant$",
                identifier(&found.name)
            )
        });
        if !functions.is_empty() {
            run_together(connection, "pause", statements.collect()).await?;
        }
        Ok(functions.len())
    })
    .await
}

/// Makes the trigger functions capture again, and counts one loss for the whole pause, so that subscribers are told to reload: all in one
/// transaction. Returns the number of functions that were paused.
///
/// # Errors
/// When the functions belong to another role, the role may not count, or another `apply` does not end in time. The pause then lasts.
pub async fn resume(pool: &PgPool, config: &Config, watches: &[Watch]) -> Result<usize, Error> {
    lock::hold(pool, async |connection| {
        let (paused, _) = plan(pool, config, watches).await?.split_paused();
        let resumed = paused.steps.len();
        if resumed > 0 {
            let mut statements: Vec<_> = paused.steps.into_iter().filter_map(|step| step.sql).collect();
            // Last: the loss is announced once this transaction has ended, which has its number by then.
            statements.push("select nextval('instant.lost')".to_owned());
            run_together(connection, "resume", statements).await?;
        }
        Ok(resumed)
    })
    .await
}

/// Runs statements in one transaction, which they form because they are sent together.
async fn run_together(connection: &mut PgConnection, action: &str, statements: Vec<String>) -> Result<(), Error> {
    // The text is generated, and its names are quoted.
    let done = sqlx::raw_sql(AssertSqlSafe(statements.join(";\n"))).execute(connection).await;
    done.map(drop).map_err(|source| Error::Step {
        action: action.to_owned(),
        source,
    })
}
