//! A message that an operator sends by hand.

use super::operator::Operator;
use super::session::{Error, in_time};
use super::sql;

/// The arguments of `instant.broadcast`.
#[derive(Clone, Debug)]
pub struct Message {
    /// The human-readable text.
    pub text: String,
    /// The string that the browser dispatches on.
    pub event_class: String,
    /// The audience: `public`, `users`, `staff`, `superuser`, `group:NAME` or `#ID`; without one and without a channel, everyone.
    pub target: Option<String>,
    /// A JSON object.
    pub data: Option<String>,
    /// A channel instead of a target.
    pub channel: Option<String>,
    /// A key by which the browser may group messages.
    pub bucket: Option<String>,
    /// The site's name, if it is not the configured one.
    pub site: Option<String>,
}

impl Operator {
    /// Sends a message. Once this returns, it is in the outbox.
    ///
    /// # Errors
    /// When PostgreSQL refuses the message, with its reason, or does not answer.
    pub async fn broadcast(&self, message: &Message) -> Result<(), Error> {
        in_time(sql::broadcast(&self.session.client, message)).await
    }
}
