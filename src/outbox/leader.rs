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
use super::session::{Error, Session, describe, patiently};
use super::sql;

/// How often a standby tries to become the leader, and calls the one there is.
const POLL: Duration = Duration::from_secs(1);
/// The changes purged by one statement: some milliseconds, so that a cursor that waits behind it waits no longer.
const PURGE_CHUNK: i64 = 2_000;

/// How many changes were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Losses {
    /// The count of all times. A crash of PostgreSQL may add some that were none, up to 32.
    pub counted: i64,
    /// The count that subscribers were told of.
    pub told: i64,
}

/// A leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// When it began.
    pub since: Timestamp,
    /// When the one before it began, of whichever relay.
    pub former: Option<Timestamp>,
}

/// The one relay that works on a database.
#[derive(Debug)]
pub struct Leader {
    session: Session,
    /// How far the purge has come.
    purged: sql::Purged,
}

impl Leader {
    /// Connects and waits until no other relay leads; `standby` is called once if there is one. That is not the former session of this
    /// relay, which led last in the term `former`: where nobody saw its end, PostgreSQL keeps its lock for a while.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached or does not answer.
    pub async fn elect(url: &SecretString, former: Option<Term>, standby: impl FnOnce()) -> Result<Self, Error> {
        let session = Session::connect(url, "instant leader").await?;
        patiently(sql::pin_index_order(&session.client)).await?;
        let mut standby = Some(standby);
        let mut incumbent = Incumbent::default();
        while !patiently(sql::try_lead(&session.client)).await? {
            if standby.is_some()
                && !has_led_last(&session, former).await?
                && let Some(standby) = standby.take()
            {
                standby();
            }
            incumbent.call(&session).await?;
            tokio::time::sleep(POLL).await;
        }
        patiently(sql::standby::listen(&session.client)).await?;
        Ok(Self {
            session,
            purged: sql::Purged::default(),
        })
    }

    /// Waits for a call of a standby, which wants to know whether this leader is alive.
    pub async fn called(&self) {
        self.session.notified.notified().await;
    }

    /// Answers it: any statement does, since the standby sees when this session was last active.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn answer(&self) -> Result<(), Error> {
        patiently(sql::standby::answer(&self.session.client)).await
    }

    /// The cursor, read from the database: after a crash it is what the database says, not what was once written to it.
    ///
    /// # Errors
    /// When the schema is not there, or the database was restored from another cluster.
    pub async fn cursor(&self) -> Result<Position, Error> {
        let row = patiently(sql::cursor(&self.session.client)).await?.ok_or(Error::NoCursor)?;
        check_cluster(&row)?;
        let start = snapshot(&row, 0)?.ok_or(Error::Protocol("a cursor without a snapshot"))?;
        Ok(match (snapshot(&row, 1)?, row.try_get::<_, Option<i64>>(2)?) {
            (Some(until), Some(after)) => Position::inside(start, until, after),
            _ => Position::at(start),
        })
    }

    /// Remembers since when this relay leads.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn take_office(&self) -> Result<Term, Error> {
        let row = patiently(sql::take_office(&self.session.client)).await?;
        Ok(Term {
            since: row.try_get(0)?,
            former: row.try_get(1)?,
        })
    }

    /// Writes the dead letters, and then the cursor that passes them; the letters alone where the cursor stays. What is read again because
    /// the cursor was not written is parked once.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer; the cursor stays then.
    pub async fn settle(&self, position: Option<&Position>, letters: &[DeadLetter]) -> Result<(), Error> {
        let client = &self.session.client;
        for letter in letters {
            match patiently(sql::letters::park(client, letter)).await {
                Err(error) if error.is_unspeakable() => patiently(sql::letters::park(client, &letter.in_ascii())).await?,
                parked => parked?,
            }
        }
        match position {
            Some(position) => patiently(sql::move_cursor(client, position)).await,
            None => Ok(()),
        }
    }

    /// Purges one chunk of what is settled for longer than `retention`; true when there may be more. What would take so long that a
    /// standby thinks this leader hung is given up, and can be tried again: a new leader goes through all that is dead. So can what
    /// PostgreSQL refuses.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn purge(&mut self, retention: Duration) -> Result<bool, Error> {
        let client = &self.session.client;
        patiently(sql::begin_purge(client)).await?;
        let purge = patiently(sql::purge(client, retention, &self.purged, PURGE_CHUNK)).await;
        patiently(sql::commit(client)).await?;
        let (purged, last) = match purge {
            Err(Error::Postgres(error)) if error.code() == Some(&SqlState::QUERY_CANCELED) => {
                warn!(
                    "the outbox is not purged for now, since that takes long: a row is locked, or an old transaction keeps what is dead"
                );
                return Ok(false);
            }
            // Whatever PostgreSQL has against it is no reason to publish nothing.
            Err(Error::Postgres(error)) if error.as_db_error().is_some() => {
                warn!("the outbox is not purged for now: {}", describe(&error));
                return Ok(false);
            }
            purge => purge?,
        };
        if let Some(last) = last {
            self.purged = last;
        }
        Ok(i64::try_from(purged).is_ok_and(|purged| purged == PURGE_CHUNK))
    }

    /// How many changes were lost.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn losses(&self) -> Result<Losses, Error> {
        patiently(sql::losses::count(&self.session.client)).await
    }

    /// Remembers the count of losses that subscribers were told of.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn told(&self, counted: i64) -> Result<(), Error> {
        patiently(sql::losses::remember(&self.session.client, counted)).await
    }

    /// Steps down, so that a standby takes over at once.
    ///
    /// # Errors
    /// When PostgreSQL does not answer; the lock then ends with the connection.
    pub async fn step_down(self) -> Result<(), Error> {
        patiently(sql::step_down(&self.session.client)).await
    }

    /// Ends when the connection, and with it the lock, is lost.
    pub async fn closed(&self) -> Error {
        self.session.closed().await
    }
}

/// Whether nobody has taken office after the term `former`.
async fn has_led_last(session: &Session, former: Option<Term>) -> Result<bool, Error> {
    let Some(former) = former else { return Ok(false) };
    Ok(patiently(sql::standby::led_since(&session.client)).await? == Some(former.since))
}

/// Checks that the cursor in `row` was written in this cluster: in another its transaction ids mean nothing.
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
