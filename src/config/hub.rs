//! `[hub]`: the server for Centrifugo's client protocol in this process.

use secrecy::SecretString;

use super::diagnostic::{Diagnostic, code};
use super::key::{Key, Keys, Kind};
use super::parser::Parser;
use super::root::{not_empty, text};
use super::toml_table::TomlTable;

/// The keys of the table.
pub(super) const KEYS: Keys = Keys::new(
    "[hub]",
    &[
        Key::new("api_key", Kind::Text),
        Key::new("token_secret", Kind::Text),
        Key::new("clients", Kind::Positive),
    ],
);
/// The default of `clients`: a connection costs some kilobytes and a file descriptor.
const CLIENTS: u32 = 20_000;

/// `[hub]`.
#[derive(Clone, Debug)]
pub struct Hub {
    /// The key of its HTTP API; `None` if it is derived from Django's `secret_key`.
    pub api_key: Option<SecretString>,
    /// The key of its tokens; `None` if it is derived from the key of its HTTP API.
    pub token_secret: Option<SecretString>,
    /// The most concurrent connections.
    pub clients: u32,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            api_key: None,
            token_secret: None,
            clients: CLIENTS,
        }
    }
}

/// Parses `[hub]`, or returns the defaults if it is missing.
pub(super) fn hub(root: &TomlTable<'_>, parser: &mut Parser<'_>) -> Hub {
    let Some(table) = root.table("hub", &KEYS, parser) else {
        return Hub::default();
    };
    if root.has("centrifugo") {
        let at = root.key_span("hub").unwrap_or_else(|| table.span.clone());
        let message = "`[hub]` and `[centrifugo]` are mutually exclusive";
        let problem = Diagnostic::error(code::BAD_VALUE, at, message, "the hub does not run next to Centrifugo");
        parser.report(problem.help("remove one of the two".to_owned()));
    }
    let api_key = text(&table, "api_key", parser).and_then(|key| not_empty("hub.api_key", key, parser));
    let secret = text(&table, "token_secret", parser).and_then(|secret| not_empty("hub.token_secret", secret, parser));
    Hub {
        api_key: api_key.map(|key| SecretString::from(key.value)),
        token_secret: secret.map(|secret| SecretString::from(secret.value)),
        clients: table.positive("clients", parser).unwrap_or(CLIENTS),
    }
}
