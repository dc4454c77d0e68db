//! Making a database that was restored from another cluster this cluster's own.

use std::time::Duration;

use super::operator::Operator;
use super::session::{Error, patiently, within};
use super::sql::adopt as sql;

/// How long an outbox of a day's changes may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// What was found in a restored outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The changes that the relay publishes next.
    pub unsettled: u64,
    /// The changes that were settled in the other cluster, and are removed.
    pub settled: u64,
}

impl Operator {
    /// Makes the cursor and what waits behind it this cluster's own; none when they are already. Nothing that was not settled is
    /// skipped, and subscribers are told to reload what they show. Waits until no relay leads.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer; nothing has changed then.
    pub async fn adopt(&self) -> Result<Option<Adopted>, Error> {
        match self.check_cluster().await {
            Ok(()) => return Ok(None),
            Err(Error::ForeignCursor { .. }) => {}
            Err(error) => return Err(error),
        }
        let client = &self.session.client;
        patiently(sql::begin(client)).await?;
        // Read before this transaction has a number, which is not in it then.
        let here = patiently(super::sql::current_snapshot(client)).await?;
        patiently(sql::lock(client)).await?;
        let unsettled = within(PATIENCE, sql::take_over(client)).await?;
        let settled = within(PATIENCE, sql::drop_settled(client)).await?;
        patiently(sql::move_cursor(client, &here)).await?;
        patiently(super::sql::commit(client)).await?;
        Ok(Some(Adopted { unsettled, settled }))
    }
}
