//! How the relay and the outbox are doing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::leader::Losses;
use super::operator::Operator;
use super::session::{Error, patiently};
use super::sql::status as sql;

/// The most changes that a backlog is counted to: beyond it, only that there are more is of interest.
pub const BACKLOG_LIMIT: i64 = 100_000;

/// What waits, and what was parked or lost.
#[derive(Clone, Debug, Serialize)]
pub struct Depth {
    /// What is not settled.
    pub backlog: Backlog,
    /// What the outbox holds.
    pub outbox: OutboxSize,
    /// The dead letters.
    pub dead_letters: i64,
    /// The lost changes.
    pub lost: Losses,
}

/// A look at the outbox.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The relay that leads; none: nobody publishes.
    pub leader: Option<LeaderSession>,
    /// What waits, and what was parked or lost.
    #[serde(flatten)]
    pub depth: Depth,
    /// Changes captured a second, over the last minute or, where that is less, over the latest 10,000.
    pub changes_per_second: f64,
    /// The last change of each watch among the latest 10,000, as the outbox calls it.
    pub last_changes: BTreeMap<String, Timestamp>,
}

/// The session that holds the leader's lock.
#[derive(Clone, Debug, Serialize)]
pub struct LeaderSession {
    /// Its process in PostgreSQL.
    pub pid: i32,
    /// Since when it leads.
    pub since: Option<Timestamp>,
    /// Where it connects from; none through a socket, or when this role may not see it.
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
    /// With its index and large values.
    pub bytes: i64,
    /// The changes in it by PostgreSQL's statistics; none before it has any.
    pub changes: Option<i64>,
}

impl Operator {
    /// Looks at the outbox. What it reads is bounded, however large the outbox is.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn status(&self) -> Result<Status, Error> {
        let client = &self.session.client;
        let leader = patiently(sql::leader(client)).await?;
        let leader = leader.map(|row| {
            Ok::<_, tokio_postgres::Error>(LeaderSession {
                pid: row.try_get(0)?,
                since: row.try_get(1)?,
                address: row.try_get(2)?,
                cursor_at: row.try_get(3)?,
            })
        });
        let last_changes = patiently(sql::last_changes(client)).await?;
        let last_changes = last_changes.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        Ok(Status {
            leader: leader.transpose()?,
            depth: self.depth().await?,
            changes_per_second: patiently(sql::rate(client)).await?,
            last_changes: last_changes.collect::<Result<_, tokio_postgres::Error>>()?,
        })
    }

    /// Counts what waits, and what was parked or lost. What it reads is bounded, however large the outbox is.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn depth(&self) -> Result<Depth, Error> {
        let client = &self.session.client;
        let backlog = patiently(sql::backlog(client, BACKLOG_LIMIT + 1)).await?;
        let changes: i64 = backlog.try_get(0)?;
        let outbox = patiently(sql::size(client)).await?;
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
            dead_letters: patiently(super::sql::letters::count(client, &super::LetterFilter::default())).await?,
            lost: patiently(super::sql::losses::count(client)).await?,
        })
    }
}
