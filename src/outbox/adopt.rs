//! Adopting a database that was restored from another cluster.

use std::time::Duration;

use super::operator::Operator;
use super::session::{Error, in_time, in_time_of};
use super::sql::adopt as sql;

/// The timeout of each statement that rewrites the outbox: enough for a day's changes.
const ADOPT_TIMEOUT: Duration = Duration::from_mins(10);

/// The contents of a restored outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The changes that the relay publishes next.
    pub unsettled: u64,
    /// The changes that were settled in the other cluster and are removed.
    pub settled: u64,
}

impl Operator {
    /// Moves the cursor and the unsettled changes after it to this cluster; `None` if they already belong to it. No unsettled change
    /// is skipped, and subscribers are told to reload what they show. Waits until no relay leads.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer; then nothing has changed.
    pub async fn adopt(&self) -> Result<Option<Adopted>, Error> {
        match self.check_cluster().await {
            Ok(()) => return Ok(None),
            Err(Error::ForeignCursor { .. }) => {}
            Err(error) => return Err(error),
        }
        let client = &self.session.client;
        in_time(sql::begin(client)).await?;
        // Read before this transaction has a number, so that the snapshot does not include it.
        let here = in_time(super::sql::current_snapshot(client)).await?;
        in_time(sql::lock(client)).await?;
        let unsettled = in_time_of(ADOPT_TIMEOUT, sql::take_over(client)).await?;
        let settled = in_time_of(ADOPT_TIMEOUT, sql::drop_settled(client)).await?;
        in_time(sql::move_cursor(client, &here)).await?;
        in_time(super::sql::commit(client)).await?;
        Ok(Some(Adopted { unsettled, settled }))
    }
}
