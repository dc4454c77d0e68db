//! An operator's session: looks at what the relay has left, and mends it. It takes no lock, so that it works beside a relay.

use secrecy::SecretString;

use super::session::{Error, Session};

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
}
