//! An operator's session: looks at what the relay has left, and fixes it. It takes no lock, so that it works beside a relay; adopting
//! a restored outbox alone takes the leader's.

use secrecy::SecretString;

use super::leader::check_cluster;
use super::position::{Position, Snapshot};
use super::session::{Error, Session, patiently};
use super::sql;

/// A connection of a command.
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

    /// The position from which on only what is committed later is read.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn here(&self) -> Result<Position, Error> {
        let snapshot = patiently(sql::current_snapshot(&self.session.client)).await?;
        let snapshot = Snapshot::new(&snapshot)?;
        Ok(Position::at(snapshot))
    }

    /// Checks that the cursor was written in this cluster: in another its transaction ids mean nothing.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when it was not, [`Error::NoCursor`] when there is none.
    pub async fn check_cluster(&self) -> Result<(), Error> {
        let row = patiently(sql::cursor(&self.session.client)).await?.ok_or(Error::NoCursor)?;
        check_cluster(&row)
    }
}
