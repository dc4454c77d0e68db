//! An operator's session: inspects what the relay has left, and fixes it. It takes no lock, so that it works next to a relay; only
//! adopting a restored outbox takes the leader's.

use secrecy::SecretString;

use super::leader::check_cluster;
use super::position::{Position, Snapshot};
use super::session::{Error, Session, in_time};
use super::sql;

/// The connection of a command.
#[derive(Debug)]
pub struct Operator {
    pub(super) session: Session,
}

impl Operator {
    /// Connects.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached, or the URL leads to a pooler.
    pub async fn connect(url: &SecretString) -> Result<Self, Error> {
        Ok(Self {
            session: Session::connect(url, "instant operator").await?,
        })
    }

    /// The position after which only later commits are read.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn here(&self) -> Result<Position, Error> {
        let snapshot = in_time(sql::current_snapshot(&self.session.client)).await?;
        let snapshot = Snapshot::new(&snapshot)?;
        Ok(Position::at(snapshot))
    }

    /// Checks that the cursor was written in this cluster: its transaction ids mean nothing in another.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] if it was not, [`Error::NoCursor`] if there is none.
    pub async fn check_cluster(&self) -> Result<(), Error> {
        let row = in_time(sql::cursor(&self.session.client)).await?.ok_or(Error::NoCursor)?;
        check_cluster(&row)
    }
}
