//! Error codes, the same for publishers, clients and the API.
//!
//! Centrifugo's own are below 400; source: `errors.go` of centrifugal/centrifuge. A proxy may answer with others, which Centrifugo passes
//! on.

/// An internal error, the only one that is temporary.
pub const INTERNAL: u32 = 100;
/// The channel's namespace is not configured.
pub const UNKNOWN_CHANNEL: u32 = 102;
/// The client has no permission; for a subscription, if no proxy was asked.
pub const PERMISSION_DENIED: u32 = 103;
/// The client is already subscribed to the channel.
pub const ALREADY_SUBSCRIBED: u32 = 105;
/// The client has reached its limit of channels.
pub const LIMIT_EXCEEDED: u32 = 106;
/// The parameters are invalid.
pub const BAD_REQUEST: u32 = 107;
/// The feature is not enabled for the namespace.
pub const NOT_AVAILABLE: u32 = 108;
/// The token has expired: the client must get another.
pub const TOKEN_EXPIRED: u32 = 109;
/// The connection or subscription has expired.
pub const EXPIRED: u32 = 110;
/// The history does not reach back to the position, or has another epoch.
pub const UNRECOVERABLE_POSITION: u32 = 112;

/// HTTP's 400: a request was refused as a whole.
pub const REFUSED: u32 = 400;
/// No rule allows this user in a channel; the hub answers the same as Instant's proxy for Centrifugo.
pub const DENIED: u32 = 403;
/// The close code of a connection that is not allowed. The terminal codes begin at 4500: a client does not reconnect until its page is
/// reloaded.
pub const NOT_LOGGED_IN: u16 = 4501;
