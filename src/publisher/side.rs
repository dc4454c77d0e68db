//! The other side of the HTTP API, which has the same shape for both that have it.

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The server that `[centrifugo]` names.
    Centrifugo,
    /// The hub of the `instant run` at `[server] url`.
    Hub,
}

impl Side {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Centrifugo => "Centrifugo",
            Self::Hub => "`instant run`",
        }
    }

    /// The key of instant.toml that holds its address.
    #[must_use]
    pub const fn url(self) -> &'static str {
        match self {
            Self::Centrifugo => "[centrifugo] url",
            Self::Hub => "[server] url",
        }
    }

    /// The key of instant.toml that holds the API's key.
    #[must_use]
    pub const fn api_key(self) -> &'static str {
        match self {
            Self::Centrifugo => "[centrifugo] api_key",
            Self::Hub => "[hub] api_key",
        }
    }

    /// What is said where no connection comes up.
    #[must_use]
    pub const fn unreachable(self) -> &'static str {
        match self {
            Self::Centrifugo => "Centrifugo cannot be reached",
            Self::Hub => "`instant run` does not answer at `[server] url`",
        }
    }

    /// What an operator can do then, where it is known.
    #[must_use]
    pub const fn start(self) -> Option<&'static str> {
        match self {
            Self::Centrifugo => None,
            Self::Hub => Some("start it, or set `[server] url` to its address"),
        }
    }

    /// What an operator can do about a key that is not accepted.
    #[must_use]
    pub const fn other_key(self) -> &'static str {
        match self {
            Self::Centrifugo => "`[centrifugo] api_key` is not the server's `http_api.key`",
            Self::Hub => "`[hub] api_key` or `[django] secret_key` differs from the running process",
        }
    }

    /// What an operator can do where something else answers.
    #[must_use]
    pub const fn other_address(self) -> &'static str {
        match self {
            Self::Centrifugo => "`[centrifugo] url` must be the server's address without `/api`",
            Self::Hub => "`[server] url` must be the address, without `/api`, of an `instant run` that has the hub",
        }
    }

    /// What an operator can do where it answers that it takes nothing for now, where that is known.
    #[must_use]
    pub const fn unavailable(self) -> Option<&'static str> {
        match self {
            Self::Centrifugo => None,
            Self::Hub => {
                Some("it does not lead: do this on the machine of the one that leads, or have `[server] url` name that one")
            }
        }
    }

    /// What is asked where an answer cannot be read.
    #[must_use]
    pub const fn doubt(self) -> &'static str {
        match self {
            Self::Centrifugo => "is `[centrifugo] url` really Centrifugo?",
            Self::Hub => "is `[server] url` really `instant run`?",
        }
    }
}
