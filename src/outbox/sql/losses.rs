//! Statements on the count of lost changes.

use tokio_postgres::{Client, Error};

use crate::capture::trigger::LOCK_TIMEOUT;
use crate::outbox::Losses;

/// The count of lost changes, from `instant.lost`; the sequence's first value is 0.
pub(super) const COUNT: &str = "case when lost.is_called then lost.last_value + 1 else 0 end";

/// The count of lost changes, and the one last announced to subscribers.
pub(in crate::outbox) async fn count(client: &Client) -> Result<Losses, Error> {
    let statement = format!("select {COUNT}, relay.told_lost from instant.lost, instant.relay where relay.name = 'main'");
    let row = client.query_one(&statement, &[]).await?;
    Ok(Losses {
        counted: row.try_get(0)?,
        told: row.try_get(1)?,
    })
}

/// Records the count of lost changes that was announced to subscribers.
pub(in crate::outbox) async fn record_announced(client: &Client, counted: i64) -> Result<(), Error> {
    client
        .execute("update instant.relay set told_lost = $1 where name = 'main'", &[&counted])
        .await
        .map(drop)
}

/// Counts a loss, which stays counted even if a transaction rolls back. It waits no longer than a trigger for the sequence, which an
/// `alter sequence` locks until its transaction ends. Both statements are one transaction, with which the limit ends.
pub(in crate::outbox) async fn add(client: &Client) -> Result<(), Error> {
    client
        .batch_execute(&format!(
            "select set_config('lock_timeout', '{LOCK_TIMEOUT}', true); select nextval('instant.lost')"
        ))
        .await
}
