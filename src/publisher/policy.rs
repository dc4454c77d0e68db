//! How the relay handles an answer of the publisher. `docs/failures.md` documents it for operators; a test compares the two.

use tonic::Code;

use super::code::{INTERNAL, UNKNOWN_CHANNEL};
use super::{ApiServer, Rejection};

/// What to do with a publication that was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Send it again, with the same key, after a while.
    Retry,
    /// Park it as a dead letter.
    Park {
        /// What an operator can do, if known.
        hint: Option<&'static str>,
    },
}

/// What to do after `rejection`. The codes are those of Centrifugo's server API: all but 100 persist until something is changed.
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

/// What to do with a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchDirective {
    /// Send it again, with the same keys, after a while.
    Retry {
        /// What an operator can do, if known.
        hint: Option<&'static str>,
    },
    /// One of its publications is at fault: halve the batch until that one is alone, and park it.
    Split,
}

/// What to do after an HTTP status of `server`. A wrong key or address is retried too: it is fixed in the configuration, and nothing may
/// be lost until then.
#[must_use]
pub const fn on_status(server: ApiServer, status: u16) -> BatchDirective {
    match status {
        400 | 413 => BatchDirective::Split,
        401 | 403 => BatchDirective::Retry {
            hint: Some(server.key_hint()),
        },
        404 | 405 => BatchDirective::Retry {
            hint: Some(server.address_hint()),
        },
        503 => BatchDirective::Retry {
            hint: server.standby_hint(),
        },
        _ => BatchDirective::Retry { hint: None },
    }
}

/// What to do after a status of the gRPC API; see [`on_status`]. `ResourceExhausted` is the server's answer to a message that is too
/// large, and that of proxies to too many requests; only the former's message mentions a size.
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
    fn only_an_internal_error_is_retried() {
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
