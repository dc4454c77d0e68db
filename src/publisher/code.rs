//! Numbers that say why something was refused, to publishers, clients and the API alike.
//!
//! Centrifugo's own are below 400; source: `errors.go` of centrifugal/centrifuge. What a proxy answers may have others, and Centrifugo hands
//! them on.

/// It cannot be said for now, the only refusal that passes by itself.
pub const INTERNAL: u32 = 100;
/// The channel's namespace is not configured.
pub const UNKNOWN_CHANNEL: u32 = 102;
/// Not for this client; of a subscription, where no proxy was asked.
pub const PERMISSION_DENIED: u32 = 103;
/// The client listens to that channel already.
pub const ALREADY_SUBSCRIBED: u32 = 105;
/// No more channels for this client.
pub const LIMIT_EXCEEDED: u32 = 106;
/// The parameters make no sense.
pub const BAD_REQUEST: u32 = 107;
/// The namespace keeps no such thing.
pub const NOT_AVAILABLE: u32 = 108;
/// The client is to get another token.
pub const TOKEN_EXPIRED: u32 = 109;
/// What is asked for has ended.
pub const EXPIRED: u32 = 110;
/// The history does not reach back to the position, or is another.
pub const UNRECOVERABLE_POSITION: u32 = 112;

/// HTTP's own: a request was refused whole.
pub const REFUSED: u32 = 400;
/// No rule lets this user into a channel; the hub answers the same as Instant behind Centrifugo.
pub const DENIED: u32 = 403;
/// The code of a closed connection, of whoever may not connect. The terminal ones begin at 4500: a client does not try again until its page is
/// loaded anew.
pub const NOT_LOGGED_IN: u16 = 4501;
