//! Centrifugo's codes for refused commands and closed connections.
//!
//! Sources: `errors.go` and `disconnect.go` of centrifugal/centrifuge. The numbers of refused commands are in [`publisher::code`](code).

use std::borrow::Cow;

use crate::publisher::code;

/// The reply to a refused command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct Error {
    /// The code by which clients decide how to react.
    pub code: u32,
    /// The human-readable message.
    pub message: &'static str,
    /// Whether the client should retry.
    pub temporary: bool,
}

impl Error {
    /// The command cannot be answered for now.
    pub const INTERNAL: Self = Self {
        temporary: true,
        ..Self::new(code::INTERNAL, "internal server error")
    };
    /// The channel's namespace is not configured.
    pub const UNKNOWN_CHANNEL: Self = Self::new(code::UNKNOWN_CHANNEL, "unknown channel");
    /// The client is not authorized.
    pub const PERMISSION_DENIED: Self = Self::new(code::PERMISSION_DENIED, "permission denied");
    /// The client is already subscribed to that channel.
    pub const ALREADY_SUBSCRIBED: Self = Self::new(code::ALREADY_SUBSCRIBED, "already subscribed");
    /// The client has too many subscriptions.
    pub const LIMIT_EXCEEDED: Self = Self::new(code::LIMIT_EXCEEDED, "limit exceeded");
    /// The parameters are invalid.
    pub const BAD_REQUEST: Self = Self::new(code::BAD_REQUEST, "bad request");
    /// The channel does not have this feature, or the hub does not support it.
    pub const NOT_AVAILABLE: Self = Self::new(code::NOT_AVAILABLE, "not available");
    /// The client must obtain another token.
    pub const TOKEN_EXPIRED: Self = Self::new(code::TOKEN_EXPIRED, "token expired");
    /// The connection or subscription has expired.
    pub const EXPIRED: Self = Self::new(code::EXPIRED, "expired");
    /// The history does not reach back to the position, or is a different one.
    pub const UNRECOVERABLE_POSITION: Self = Self::new(code::UNRECOVERABLE_POSITION, "unrecoverable position");

    /// Creates a permanent refusal.
    #[must_use]
    pub const fn new(code: u32, message: &'static str) -> Self {
        Self {
            code,
            message,
            temporary: false,
        }
    }
}

/// Why a connection is closed. Clients reconnect after the codes 3000 to 3499 and 4000 to 4499, but no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// The close code.
    pub code: u16,
    /// The human-readable reason; a close frame has room for about a hundred bytes.
    pub reason: Cow<'static, str>,
}

impl Disconnect {
    /// The process shuts down.
    pub const SHUTDOWN: Self = Self::new(3001, "shutdown");
    /// The connection has expired.
    pub const EXPIRED: Self = Self::new(3005, "connection expired");
    /// The client reads too slowly.
    pub const SLOW: Self = Self::new(3008, "slow");
    /// The client's subscriptions no longer match its token.
    pub const INSUFFICIENT_STATE: Self = Self::new(3010, "insufficient state");
    /// The client did not answer a ping.
    pub const NO_PONG: Self = Self::new(3012, "no pong");
    /// The token has no valid signature.
    pub const INVALID_TOKEN: Self = Self::new(3500, "invalid token");
    /// The client violated the protocol.
    pub const BAD_REQUEST: Self = Self::new(3501, "bad request");
    /// The client did not authenticate in time.
    pub const STALE: Self = Self::new(3502, "stale");
    /// The connection was ended by a request.
    pub const FORCE_NO_RECONNECT: Self = Self::new(3503, "force disconnect");
    /// The client sent an asynchronous message, which the hub does not support.
    pub const NOT_AVAILABLE: Self = Self::new(3508, "not available");

    /// Creates a disconnect from a code and its reason.
    #[must_use]
    pub const fn new(code: u16, reason: &'static str) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
        }
    }
}

/// The refusal of a client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The client receives an error.
    Error(Error),
    /// The client is disconnected.
    Disconnect(Disconnect),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Disconnect> for Refusal {
    fn from(disconnect: Disconnect) -> Self {
        Self::Disconnect(disconnect)
    }
}
