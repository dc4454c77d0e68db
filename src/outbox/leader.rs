//! The leader's session: its lock, the cursor, the dead letters and the purge.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tracing::warn;

use super::dead_letter::DeadLetter;
use super::incumbent::Incumbent;
use super::position::{Position, Snapshot};
use super::session::{Error, Session, describe, in_time};
use super::sql;

/// How often a standby tries to become the leader, and calls the current one.
const POLL: Duration = Duration::from_secs(1);
/// The maximum number of changes purged by one statement: some milliseconds, so that a cursor write behind it waits no longer.
const PURGE_CHUNK: i64 = 2_000;

/// The counts of lost changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Losses {
    /// The all-time count. A crash of PostgreSQL may add up to 32 that were not lost.
    pub counted: i64,
    /// The count that was last announced to subscribers.
    pub told: i64,
}

/// A period of leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// When it began.
    pub since: Timestamp,
    /// When the term before it began, whichever relay led.
    pub former: Option<Timestamp>,
}

/// The session of the one relay that leads.
#[derive(Debug)]
pub struct Leader {
    session: Session,
    /// How far the purge has come.
    purged: sql::Purged,
    /// The number of changes that the next statement purges.
    purge_chunk: i64,
}

impl Leader {
    /// Connects and waits until no other relay leads; calls `standby` once if one does. A former session of this relay, which last led
    /// in the term `former`, does not count: PostgreSQL keeps its lock for a while if it did not notice the session's end.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached or does not answer.
    pub async fn elect(url: &SecretString, former: Option<Term>, standby: impl FnOnce()) -> Result<Self, Error> {
        let session = Session::connect(url, "instant leader").await?;
        in_time(sql::pin_index_order(&session.client)).await?;
        let mut standby = Some(standby);
        let mut incumbent = Incumbent::default();
        while !in_time(sql::try_lead(&session.client)).await? {
            if standby.is_some()
                && !has_led_last(&session, former).await?
                && let Some(standby) = standby.take()
            {
                standby();
            }
            incumbent.call(&session).await?;
            tokio::time::sleep(POLL).await;
        }
        in_time(sql::standby::listen(&session.client)).await?;
        Ok(Self {
            session,
            purged: sql::Purged::default(),
            purge_chunk: PURGE_CHUNK,
        })
    }

    /// Waits for a call of a standby, which checks whether this leader is alive.
    pub async fn called(&self) {
        self.session.notified.notified().await;
    }

    /// Answers the call: any statement will do, since the standby sees when this session was last active.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn answer(&self) -> Result<(), Error> {
        in_time(sql::standby::answer(&self.session.client)).await
    }

    /// The cursor as the database has it: after a crash, that may not be the one that was written last.
    ///
    /// # Errors
    /// When the schema is not there, or the database was restored from another cluster.
    pub async fn cursor(&self) -> Result<Position, Error> {
        let row = in_time(sql::cursor(&self.session.client)).await?.ok_or(Error::NoCursor)?;
        check_cluster(&row)?;
        let start = snapshot(&row, 0)?.ok_or(Error::Protocol("a cursor without a snapshot"))?;
        Ok(match (snapshot(&row, 1)?, row.try_get::<_, Option<i64>>(2)?) {
            (Some(until), Some(after)) => Position::inside(start, until, after),
            _ => Position::at(start),
        })
    }

    /// Records since when this relay leads.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn begin_term(&self) -> Result<Term, Error> {
        let row = in_time(sql::begin_term(&self.session.client)).await?;
        Ok(Term {
            since: row.try_get(0)?,
            former: row.try_get(1)?,
        })
    }

    /// Writes the dead letters, and then the cursor that moves past them; only the letters if `position` is `None`. Changes that are read
    /// again because the cursor was not written are parked once.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer; then the cursor stays.
    pub async fn settle(&self, position: Option<&Position>, letters: &[DeadLetter]) -> Result<(), Error> {
        let client = &self.session.client;
        for letter in letters {
            match in_time(sql::letters::park(client, letter)).await {
                Err(error) if error.is_unencodable() => in_time(sql::letters::park(client, &letter.in_ascii())).await?,
                parked => parked?,
            }
        }
        match position {
            Some(position) => in_time(sql::move_cursor(client, position)).await,
            None => Ok(()),
        }
    }

    /// Purges one chunk of the changes settled for longer than `retention`; true if there may be more. A purge that would take so long
    /// that a standby considers this leader hung is abandoned, and retried with half as many changes, which may be very large: a new
    /// leader scans all dead rows. One that PostgreSQL refuses can be retried too.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn purge(&mut self, retention: Duration) -> Result<bool, Error> {
        let client = &self.session.client;
        in_time(sql::begin_purge(client)).await?;
        let chunk = self.purge_chunk;
        let purge = in_time(sql::purge(client, retention, &self.purged, chunk)).await;
        in_time(sql::commit(client)).await?;
        let (purged, last) = match purge {
            Err(Error::Postgres(error)) if error.code() == Some(&SqlState::QUERY_CANCELED) => {
                self.purge_chunk = (chunk / 2).max(1);
                warn!(
                    changes = chunk,
                    "the outbox is not purged for now, since that takes too long: a row is locked, or an old transaction keeps dead rows"
                );
                return Ok(false);
            }
            // A refused purge is no reason to stop publishing.
            Err(Error::Postgres(error)) if error.as_db_error().is_some() => {
                warn!("the outbox is not purged for now: {}", describe(&error));
                return Ok(false);
            }
            purge => purge?,
        };
        if let Some(last) = last {
            self.purged = last;
        }
        self.purge_chunk = (chunk * 2).min(PURGE_CHUNK);
        Ok(i64::try_from(purged).is_ok_and(|purged| purged == chunk))
    }

    /// The counts of lost changes.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn losses(&self) -> Result<Losses, Error> {
        in_time(sql::losses::count(&self.session.client)).await
    }

    /// Records the count of losses that was announced to subscribers.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn record_announced(&self, counted: i64) -> Result<(), Error> {
        in_time(sql::losses::record_announced(&self.session.client, counted)).await
    }

    /// Steps down, so that a standby takes over immediately.
    ///
    /// # Errors
    /// When PostgreSQL does not answer; then the lock ends with the connection.
    pub async fn step_down(self) -> Result<(), Error> {
        in_time(sql::step_down(&self.session.client)).await
    }

    /// Completes when the connection, and with it the lock, is lost.
    pub async fn closed(&self) -> Error {
        self.session.closed().await
    }
}

/// Whether no relay has led since the term `former`.
async fn has_led_last(session: &Session, former: Option<Term>) -> Result<bool, Error> {
    let Some(former) = former else { return Ok(false) };
    Ok(in_time(sql::standby::led_since(&session.client)).await? == Some(former.since))
}

/// Checks that the cursor in `row` was written in this cluster: its transaction ids mean nothing in another.
pub(super) fn check_cluster(row: &Row) -> Result<(), Error> {
    let (stored, here) = (row.try_get(3)?, row.try_get(4)?);
    if stored == here {
        Ok(())
    } else {
        Err(Error::ForeignCursor { stored, here })
    }
}

/// A snapshot among the cursor's columns.
fn snapshot(row: &Row, index: usize) -> Result<Option<Snapshot>, Error> {
    let text: Option<&str> = row.try_get(index)?;
    text.map(Snapshot::new).transpose()
}
