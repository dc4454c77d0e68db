//! What the hub asks of the room that knows users: it keeps no rule of its own.

use super::code::Refusal;

/// Who a client is, and what it may do. One for each connection, which knows what came with it.
pub trait Authority: Send + Sync + 'static {
    /// Who connects; `token` is empty where the client sent none.
    fn connect(&self, client: &str, token: &str) -> impl Future<Output = Result<Admission, Refusal>> + Send;

    /// Whether the client may listen to one more channel; `token` is empty where it sent none.
    fn subscribe(
        &self,
        client: &str,
        user: &str,
        channel: &str,
        token: &str,
    ) -> impl Future<Output = Result<Permit, Refusal>> + Send;

    /// Until when a connection may go on whose time is over, or that brings another token, in seconds of the Unix epoch; none: it
    /// may not.
    fn refresh(&self, client: &str, user: &str, token: Option<&str>)
    -> impl Future<Output = Result<Option<u64>, Refusal>> + Send;

    /// The client has left a channel by itself.
    fn left(&self, client: &str, channel: &str);

    /// The connection has ended.
    fn closed(&self, client: &str);
}

/// A connection that is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// The user's key; empty for a visitor.
    pub user: String,
    /// The channels that it hears without asking.
    pub channels: Vec<String>,
    /// When it must be refreshed, in seconds of the Unix epoch.
    pub expires: Option<u64>,
    /// The client refreshes it, with another token.
    pub is_token: bool,
}

/// A subscription that is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permit {
    /// When its token ends, in seconds of the Unix epoch.
    pub expires: Option<u64>,
}
