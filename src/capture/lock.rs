//! The lock on changes of the schema and the triggers.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, PgPool};

use super::error::Error;

/// The advisory lock. ASCII "instant" and 3; 2 is the leader's.
const APPLY_LOCK: i64 = 0x696e_7374_616e_7403;
/// The limit on the wait for another command.
const WAIT: Duration = Duration::from_mins(1);
/// The interval at which the lock is tried.
const POLL: Duration = Duration::from_millis(100);

/// Runs `work` on a connection of its own that holds the lock. Another command may have changed what was read before: `work` must itself
/// read all that it depends on.
pub(super) async fn hold<T>(pool: &PgPool, work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>) -> Result<T, Error> {
    let mut connection = locked(pool).await?;
    let done = work(&mut connection).await;
    // A connection that broke during the work no longer has the lock, and the work's error is the one to report.
    let unlocked = unlock(connection).await;
    let done = done?;
    unlocked?;
    Ok(done)
}

/// Takes the lock. It polls: a session that waits in `pg_advisory_lock` holds back vacuum.
async fn locked(pool: &PgPool) -> Result<PgConnection, Error> {
    let mut connection = pool.acquire().await?.detach();
    let started = Instant::now();
    loop {
        let got: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(APPLY_LOCK)
            .fetch_one(&mut connection)
            .await?;
        if got {
            return Ok(connection);
        }
        if started.elapsed() > WAIT {
            return Err(Error::AnotherApply);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Releases the lock. Closing the connection would release it too, but only when the server notices.
async fn unlock(mut connection: PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_unlock($1)")
        .bind(APPLY_LOCK)
        .execute(&mut connection)
        .await?;
    connection.close().await
}
