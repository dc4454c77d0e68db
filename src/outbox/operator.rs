//! An operator's session: looks at what the relay has left, and mends it. It takes no lock, so that it works beside a relay.

use secrecy::SecretString;

use super::leader::check_cluster;
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

    /// Checks that the cursor was written in this cluster: in another its transaction ids mean nothing.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when it was not.
    pub async fn check_cluster(&self) -> Result<(), Error> {
        let row = patiently(sql::cursor(&self.session.client)).await?;
        check_cluster(&row)
    }
}
