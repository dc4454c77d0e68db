//! What an answer of the publisher means for the relay. `docs/failures.md` says it for operators, and a test compares the two.

use tonic::Code;

use super::code::{INTERNAL, UNKNOWN_CHANNEL};
use super::{Rejection, Side};

/// What to do with a publication that was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Send it again, with the same key, after a while.
    Retry,
    /// Park it as a dead letter; the hint tells an operator what can be done.
    Park {
        /// What an operator can do, where it is known.
        hint: Option<&'static str>,
    },
}

/// What to do after `rejection`. Codes as in Centrifugo's server API: all but 100 stay until somebody changes something.
#[must_use]
pub const fn directive(rejection: &Rejection) -> Directive {
    match rejection.code {
        INTERNAL => Directive::Retry,
        UNKNOWN_CHANNEL => Directive::Park {
            hint: Some("configure the channel's namespace, in Centrifugo or, for the hub, under `[channels]`"),
        },
        _ => Directive::Park { hint: None },
    }
}

/// What to do with a request that was not answered as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchDirective {
    /// Send it again, with the same keys, after a while.
    Retry {
        /// What an operator can do, where it is known.
        hint: Option<&'static str>,
    },
    /// One of its publications is at fault: send it in halves until that one is alone, and park it.
    Split,
}

/// What to do after an HTTP status of `side`. A wrong key or address is tried again too: it is fixed in the configuration, and nothing may be
/// lost until then.
#[must_use]
pub const fn on_status(side: Side, status: u16) -> BatchDirective {
    match status {
        400 | 413 => BatchDirective::Split,
        401 | 403 => BatchDirective::Retry {
            hint: Some(side.other_key()),
        },
        404 | 405 => BatchDirective::Retry {
            hint: Some(side.other_address()),
        },
        503 => BatchDirective::Retry {
            hint: side.unavailable(),
        },
        _ => BatchDirective::Retry { hint: None },
    }
}

/// What to do after a status of the gRPC API, as [`on_status`]. `ResourceExhausted` is the server's answer to a message that is too
/// large, and that of proxies to too many requests; only the former's words tell of a size.
#[must_use]
pub fn on_code(code: Code, message: &str) -> BatchDirective {
    match code {
        Code::ResourceExhausted if message.contains("larger than max") || message.contains("too large") => BatchDirective::Split,
        Code::Unauthenticated | Code::PermissionDenied => BatchDirective::Retry {
            hint: Some("`[centrifugo] api_key` is not the server's `grpc_api.key`"),
        },
        Code::Unimplemented => BatchDirective::Retry {
            hint: Some("`[centrifugo] grpc_url` must be the address of the server's gRPC API, its port 10000"),
        },
        _ => BatchDirective::Retry { hint: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_internal_error_is_tried_again() {
        for code in [102, 104, 107, 108, 113, 0, u32::MAX] {
            let rejection = Rejection {
                code,
                message: String::new(),
            };
            assert!(matches!(directive(&rejection), Directive::Park { .. }), "code {code}");
        }
        assert_eq!(
            directive(&Rejection {
                code: 100,
                message: String::new()
            }),
            Directive::Retry
        );
    }
}
