//! The hub's interface to authentication and authorization: it has no rules of its own.

use super::code::Refusal;

/// Decides who a client is and what it may do. There is one per connection, with the credentials that the connection sent.
pub trait Authority: Send + Sync + 'static {
    /// Identifies a client that connects; `token` is empty if it sent none.
    fn connect(&self, client: &str, token: &str) -> impl Future<Output = Result<Admission, Refusal>> + Send;

    /// Authorizes a subscription to another channel; `token` is empty if the client sent none.
    fn subscribe(
        &self,
        client: &str,
        user: &str,
        channel: &str,
        token: &str,
    ) -> impl Future<Output = Result<Permit, Refusal>> + Send;

    /// Renews a connection that expires or sends another token, and returns its new expiry in Unix time; `None` if it must end.
    fn refresh(&self, client: &str, user: &str, token: Option<&str>)
    -> impl Future<Output = Result<Option<u64>, Refusal>> + Send;

    /// Called when the client has unsubscribed from a channel.
    fn left(&self, client: &str, channel: &str);

    /// Called when the connection has ended.
    fn closed(&self, client: &str);
}

/// An admitted connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// The user's key; empty for an anonymous visitor.
    pub user: String,
    /// The channels that it is subscribed to by the server.
    pub channels: Vec<String>,
    /// When it must be refreshed, in Unix time.
    pub expires: Option<u64>,
    /// Whether the client refreshes it, with another token.
    pub is_token: bool,
}

/// An authorized subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permit {
    /// When its token expires, in Unix time.
    pub expires: Option<u64>,
}
