//! The servers with the HTTP API, which is the same for both.

/// A server with the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiServer {
    /// The server in `[centrifugo]`.
    Centrifugo,
    /// The hub of the `instant run` at `[server] url`.
    Hub,
}

impl ApiServer {
    /// The server's name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Centrifugo => "Centrifugo",
            Self::Hub => "`instant run`",
        }
    }

    /// The setting with the server's address.
    #[must_use]
    pub const fn url(self) -> &'static str {
        match self {
            Self::Centrifugo => "[centrifugo] url",
            Self::Hub => "[server] url",
        }
    }

    /// The setting with the API's key.
    #[must_use]
    pub const fn api_key(self) -> &'static str {
        match self {
            Self::Centrifugo => "[centrifugo] api_key",
            Self::Hub => "[hub] api_key",
        }
    }

    /// The message when no connection can be established.
    #[must_use]
    pub const fn unreachable(self) -> &'static str {
        match self {
            Self::Centrifugo => "Centrifugo cannot be reached",
            Self::Hub => "`instant run` does not answer at `[server] url`",
        }
    }

    /// The hint when no connection can be established, if there is one.
    #[must_use]
    pub const fn start_hint(self) -> Option<&'static str> {
        match self {
            Self::Centrifugo => None,
            Self::Hub => Some("start it, or set `[server] url` to its address"),
        }
    }

    /// The hint when the key is not accepted.
    #[must_use]
    pub const fn key_hint(self) -> &'static str {
        match self {
            Self::Centrifugo => "`[centrifugo] api_key` is not the server's `http_api.key`",
            Self::Hub => "`[hub] api_key` or `[django] secret_key` differs from the running process",
        }
    }

    /// The hint when something else answers.
    #[must_use]
    pub const fn address_hint(self) -> &'static str {
        match self {
            Self::Centrifugo => "`[centrifugo] url` must be the server's address without `/api`",
            Self::Hub => "`[server] url` must be the address, without `/api`, of an `instant run` that has the hub",
        }
    }

    /// The hint when the server answers that it is unavailable for now, if there is one.
    #[must_use]
    pub const fn standby_hint(self) -> Option<&'static str> {
        match self {
            Self::Centrifugo => None,
            Self::Hub => {
                Some("it does not lead: do this on the machine of the one that leads, or have `[server] url` name that one")
            }
        }
    }

    /// The hint when an answer cannot be parsed.
    #[must_use]
    pub const fn identity_hint(self) -> &'static str {
        match self {
            Self::Centrifugo => "is `[centrifugo] url` really Centrifugo?",
            Self::Hub => "is `[server] url` really `instant run`?",
        }
    }
}
