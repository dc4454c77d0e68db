//! A message that an operator sends by hand.

use super::operator::Operator;
use super::session::{Error, patiently};
use super::sql;

/// The arguments of `instant.broadcast`.
#[derive(Clone, Debug)]
pub struct Message {
    /// The text for people.
    pub text: String,
    /// The string that a browser dispatches on.
    pub event_class: String,
    /// The audience: `public`, `users`, `staff`, `superuser`, `group:NAME` or `#ID`; without one and without a channel, everyone.
    pub target: Option<String>,
    /// A JSON object.
    pub data: Option<String>,
    /// A channel in place of a target.
    pub channel: Option<String>,
    /// What the browser may group messages by.
    pub bucket: Option<String>,
    /// The site's name, where it is not the configured one.
    pub site: Option<String>,
}

impl Operator {
    /// Sends a message: once this returns, it is in the outbox.
    ///
    /// # Errors
    /// When the message is refused, for a reason that PostgreSQL says, or PostgreSQL does not answer.
    pub async fn broadcast(&self, message: &Message) -> Result<(), Error> {
        patiently(sql::broadcast(&self.session.client, message)).await
    }
}
