//! The status of the relay and the outbox.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::leader::Losses;
use super::operator::Operator;
use super::session::{Error, in_time};
use super::sql::status as sql;

/// The limit up to which a backlog is counted; beyond it, the exact number is of no interest.
pub const BACKLOG_LIMIT: i64 = 100_000;

/// The waiting, parked and lost changes.
#[derive(Clone, Debug, Serialize)]
pub struct Depth {
    /// The unsettled changes.
    pub backlog: Backlog,
    /// The size of the outbox.
    pub outbox: OutboxSize,
    /// The number of dead letters.
    pub dead_letters: i64,
    /// The counts of lost changes.
    pub lost: Losses,
}

/// The status of the outbox.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The relay that leads; `None` if nobody publishes.
    pub leader: Option<LeaderSession>,
    /// The waiting, parked and lost changes.
    #[serde(flatten)]
    pub depth: Depth,
    /// Changes captured per second, over the last minute or the latest 10,000, whichever span is shorter.
    pub changes_per_second: f64,
    /// The last change of each watch among the latest 10,000, by the watch's name in the outbox.
    pub last_changes: BTreeMap<String, Timestamp>,
}

/// The session that holds the leader's lock.
#[derive(Clone, Debug, Serialize)]
pub struct LeaderSession {
    /// Its process id in PostgreSQL.
    pub pid: i32,
    /// Since when it leads.
    pub since: Option<Timestamp>,
    /// The address it connects from; `None` for a Unix socket, or if this role may not see it.
    pub address: Option<String>,
    /// When it last wrote the cursor.
    pub cursor_at: Timestamp,
}

/// The changes after the stored cursor.
#[derive(Clone, Debug, Serialize)]
pub struct Backlog {
    /// How many, up to [`BACKLOG_LIMIT`].
    pub changes: i64,
    /// Whether there are more than were counted.
    pub more: bool,
    /// Seconds since the oldest of them was written; 0 without any.
    pub lag_seconds: f64,
}

/// The size of the outbox.
#[derive(Clone, Debug, Serialize)]
pub struct OutboxSize {
    /// The bytes on disk, with its index and large values.
    pub bytes: i64,
    /// The changes in it by PostgreSQL's statistics; `None` before there are any.
    pub changes: Option<i64>,
}

impl Operator {
    /// Reads the status. What it reads is bounded, however large the outbox is.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn status(&self) -> Result<Status, Error> {
        let client = &self.session.client;
        let leader = in_time(sql::leader(client)).await?;
        let leader = leader.map(|row| {
            Ok::<_, tokio_postgres::Error>(LeaderSession {
                pid: row.try_get(0)?,
                since: row.try_get(1)?,
                address: row.try_get(2)?,
                cursor_at: row.try_get(3)?,
            })
        });
        let last_changes = in_time(sql::last_changes(client)).await?;
        let last_changes = last_changes.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        Ok(Status {
            leader: leader.transpose()?,
            depth: self.depth().await?,
            changes_per_second: in_time(sql::rate(client)).await?,
            last_changes: last_changes.collect::<Result<_, tokio_postgres::Error>>()?,
        })
    }

    /// Counts the waiting, parked and lost changes. What it reads is bounded, however large the outbox is.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn depth(&self) -> Result<Depth, Error> {
        let client = &self.session.client;
        let backlog = in_time(sql::backlog(client, BACKLOG_LIMIT + 1)).await?;
        let changes: i64 = backlog.try_get(0)?;
        let outbox = in_time(sql::size(client)).await?;
        Ok(Depth {
            backlog: Backlog {
                changes: changes.min(BACKLOG_LIMIT),
                more: changes > BACKLOG_LIMIT,
                lag_seconds: backlog.try_get(1)?,
            },
            outbox: OutboxSize {
                bytes: outbox.try_get(0)?,
                changes: outbox.try_get(1)?,
            },
            dead_letters: in_time(super::sql::letters::count(client, &super::LetterFilter::default())).await?,
            lost: in_time(super::sql::losses::count(client)).await?,
        })
    }
}
