//! `[server]`: the HTTP server that answers Centrifugo and browsers.

use std::time::Duration;

use super::diagnostic::{Diagnostic, code};
use super::environment::expand;
use super::key::{Key, Keys, Kind};
use super::parser::Parser;
use super::root::text;
use super::toml_table::TomlTable;
use super::{Spanned, duration};

/// The keys of the table.
pub(super) const KEYS: Keys = Keys::new(
    "[server]",
    &[
        Key::new("listen", Kind::Text),
        Key::new("allowed_origins", Kind::Texts),
        Key::new("url", Kind::Text),
        Key::new("ready_lag", Kind::Duration),
    ],
);
/// The default of `listen`: reachable only from this machine.
const LISTEN: &str = "127.0.0.1:8001";
/// The default of `ready_lag`.
const READY_LAG: Duration = Duration::from_mins(1);

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `host:port`.
    pub listen: String,
    /// The origins whose pages may connect and request tokens, `scheme://host[:port]` in lower case.
    pub allowed_origins: Vec<String>,
    /// The URL at which Centrifugo reaches it, without a trailing slash.
    pub url: String,
    /// The lag above which `/readyz` fails.
    pub ready_lag: Duration,
}

/// The origins of Django's `runserver`.
const DEVELOPMENT_ORIGINS: [&str; 2] = ["http://localhost:8000", "http://127.0.0.1:8000"];

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: LISTEN.to_owned(),
            allowed_origins: Vec::new(),
            url: format!("http://{LISTEN}"),
            ready_lag: READY_LAG,
        }
    }
}

impl Server {
    /// Returns the URL at which this machine reaches it, whatever other machines use.
    #[must_use]
    pub fn local_url(&self) -> String {
        format!("http://{}", reachable(&self.listen))
    }

    /// Warns if nobody can connect, because no origin is allowed, or because neither users nor anonymous visitors are admitted.
    pub(super) fn warn_if_unreachable(&self, root: &TomlTable<'_>, admits_clients: bool, parser: &mut Parser<'_>) {
        let span = root.key_span("server").unwrap_or_default();
        let mut warn = |message: &str, label: &str, help: &str| {
            let problem = Diagnostic::warning(code::NOBODY_CONNECTS, span.clone(), message, label);
            parser.report(problem.help(help.to_owned()));
        };
        if self.allowed_origins.is_empty() {
            warn(
                "no page may connect, since `allowed_origins` names no origin",
                "names no origin",
                "add where the site's pages come from: `allowed_origins = [\"https://shop.example\"]`",
            );
        }
        if !admits_clients {
            warn(
                "nobody may connect: anonymous visitors may not, and without `[django]` everybody is anonymous",
                "admits nobody",
                "add `[django]` with `secret_key`, or admit anonymous visitors with `[channels] anonymous = true`",
            );
        }
    }

    /// Also allows the origins of Django's `runserver`.
    pub fn allow_development(&mut self) {
        for origin in DEVELOPMENT_ORIGINS {
            if !self.allowed_origins.iter().any(|allowed| allowed == origin) {
                self.allowed_origins.push(origin.to_owned());
            }
        }
    }
}

/// Parses `[server]`. `None` if it is missing or invalid, which has been reported.
pub(super) fn server(root: &TomlTable<'_>, parser: &mut Parser<'_>) -> Option<Server> {
    let table = root.table("server", &KEYS, parser)?;
    let listen = listen(&table, parser);
    let allowed_origins = table.strings("allowed_origins", parser).unwrap_or_default();
    let allowed_origins = allowed_origins
        .into_iter()
        .filter_map(|value| expand(parser, value).and_then(|value| origin(&value, parser)))
        .collect();
    let url = text(&table, "url", parser).and_then(|value| base(value, parser));
    let ready_lag = duration::at(&table, "ready_lag", "server.ready_lag", parser);
    Some(Server {
        url: url.unwrap_or_else(|| format!("http://{}", reachable(&listen))),
        listen,
        allowed_origins,
        ready_lag: ready_lag.unwrap_or(READY_LAG),
    })
}

fn listen(table: &TomlTable<'_>, parser: &mut Parser<'_>) -> String {
    let Some(value) = text(table, "listen", parser) else {
        return LISTEN.to_owned();
    };
    let parts = value.value.rsplit_once(':');
    if parts.is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok()) {
        return value.value;
    }
    let message = "`server.listen` must be an address and a port";
    let problem = Diagnostic::error(code::BAD_VALUE, value.span, message, "not such an address");
    parser.report(problem.help(format!("write it like `{LISTEN}` or `[::1]:8001`")));
    LISTEN.to_owned()
}

fn is_host(host: &str) -> bool {
    let bracketed = host.starts_with('[') && host.ends_with(']');
    !host.is_empty() && (bracketed || !host.contains(':')) && !host.contains(['/', '@', ' '])
}

/// Returns the address at which other programs on this machine reach it.
fn reachable(listen: &str) -> String {
    match listen.rsplit_once(':') {
        Some(("0.0.0.0" | "[::]", port)) => format!("127.0.0.1:{port}"),
        _ => listen.to_owned(),
    }
}

/// Parses an origin as browsers send it, without the default port of its scheme.
fn origin(value: &Spanned<String>, parser: &mut Parser<'_>) -> Option<String> {
    let lower = value.value.to_ascii_lowercase();
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    if rest.is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"/?#@*\\".contains(&byte))
    }) {
        let default = if lower.starts_with("https:") { ":443" } else { ":80" };
        return Some(lower.strip_suffix(default).unwrap_or(&lower).to_owned());
    }
    let message = "`server.allowed_origins` must hold origins, `scheme://host` or `scheme://host:port`";
    let help = if value.value.contains('*') {
        "list each origin: with `*` any site could use your users' cookies"
    } else {
        "write it like `https://shop.example`, without a path or a trailing slash"
    };
    let problem = Diagnostic::error(code::BAD_VALUE, value.span.clone(), message, "not an origin");
    parser.report(problem.help(help.to_owned()));
    None
}

fn base(value: Spanned<String>, parser: &mut Parser<'_>) -> Option<String> {
    let url = value.value.trim_end_matches('/');
    if url.starts_with("http://") || url.starts_with("https://") {
        return Some(url.to_owned());
    }
    let message = "`server.url` must be a URL that begins with `http://` or `https://`";
    parser.report(Diagnostic::error(code::BAD_VALUE, value.span, message, "not such a URL"));
    None
}
