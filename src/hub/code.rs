//! Centrifugo's codes: of refused commands, and of closed connections.
//!
//! Sources: `errors.go` and `disconnect.go` of centrifugal/centrifuge.

use std::borrow::Cow;

/// The answer to a command that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct Error {
    /// Clients know what to do by it.
    pub code: u32,
    /// For people.
    pub message: &'static str,
    /// Whether the client is to try again.
    pub temporary: bool,
}

impl Error {
    /// It cannot be said for now.
    pub const INTERNAL: Self = Self {
        temporary: true,
        ..Self::new(100, "internal server error")
    };
    /// The channel's namespace is not configured.
    pub const UNKNOWN_CHANNEL: Self = Self::new(102, "unknown channel");
    /// Not for this client.
    pub const PERMISSION_DENIED: Self = Self::new(103, "permission denied");
    /// It listens to that channel already.
    pub const ALREADY_SUBSCRIBED: Self = Self::new(105, "already subscribed");
    /// No more channels.
    pub const LIMIT_EXCEEDED: Self = Self::new(106, "limit exceeded");
    /// The parameters make no sense.
    pub const BAD_REQUEST: Self = Self::new(107, "bad request");
    /// The channel keeps no such thing, or the hub does not do it.
    pub const NOT_AVAILABLE: Self = Self::new(108, "not available");
    /// The client is to get another token.
    pub const TOKEN_EXPIRED: Self = Self::new(109, "token expired");
    /// What is asked for has ended.
    pub const EXPIRED: Self = Self::new(110, "expired");
    /// The history does not reach back to the position, or is another.
    pub const UNRECOVERABLE_POSITION: Self = Self::new(112, "unrecoverable position");

    /// A refusal that stays until something is changed.
    #[must_use]
    pub const fn new(code: u32, message: &'static str) -> Self {
        Self {
            code,
            message,
            temporary: false,
        }
    }
}

/// Why a connection is closed. Clients connect again after 3000 to 3499 and 4000 to 4499, and not after any other code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// The close code.
    pub code: u16,
    /// For people; a close frame has room for some hundred bytes.
    pub reason: Cow<'static, str>,
}

impl Disconnect {
    /// The process ends.
    pub const SHUTDOWN: Self = Self::new(3001, "shutdown");
    /// The connection's time is over.
    pub const EXPIRED: Self = Self::new(3005, "connection expired");
    /// It does not take what it is sent.
    pub const SLOW: Self = Self::new(3008, "slow");
    /// What it hears is no longer what its token says.
    pub const INSUFFICIENT_STATE: Self = Self::new(3010, "insufficient state");
    /// It did not answer a ping.
    pub const NO_PONG: Self = Self::new(3012, "no pong");
    /// A token that nobody here has signed.
    pub const INVALID_TOKEN: Self = Self::new(3500, "invalid token");
    /// What it sent is not the protocol.
    pub const BAD_REQUEST: Self = Self::new(3501, "bad request");
    /// It said nothing for too long after it came.
    pub const STALE: Self = Self::new(3502, "stale");
    /// Somebody wants it gone.
    pub const FORCE_NO_RECONNECT: Self = Self::new(3503, "force disconnect");
    /// Nobody takes messages of its own.
    pub const NOT_AVAILABLE: Self = Self::new(3508, "not available");

    /// A code and its reason.
    #[must_use]
    pub const fn new(code: u16, reason: &'static str) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
        }
    }
}

/// Why a client is not given what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is told so.
    Error(Error),
    /// It is cut off.
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
