//! Parses the document: the top level and its small tables.

use std::time::Duration;

use secrecy::SecretString;
use toml::de::DeTable;

use super::diagnostic::{Diagnostic, Diagnostics, code};
use super::environment::expand;
use super::key::{Key, Keys, Kind};
use super::parser::Parser;
use super::toml_table::TomlTable;
use super::{Centrifugo, Config, Database, Source, Spanned, channel, django, document, duration, hub, server, watch};

/// The keys of the top level.
pub(super) const KEYS: Keys = Keys::new(
    "",
    &[
        Key::new("site", Kind::Text),
        Key::required("database", Kind::Table(&DATABASE)),
        Key::new("centrifugo", Kind::Table(&CENTRIFUGO)),
        Key::new("hub", Kind::Table(&hub::KEYS)),
        Key::new("django", Kind::Table(&django::KEYS)),
        Key::new("server", Kind::Table(&server::KEYS)),
        Key::new("outbox", Kind::Table(&OUTBOX)),
        Key::new("channels", Kind::Table(&channel::KEYS)),
        Key::new("related", Kind::Table(&RELATED)),
        Key::new("watch", Kind::Tables(&watch::KEYS)),
    ],
);
const DATABASE: Keys = Keys::new(
    "[database]",
    &[Key::required("url", Kind::Text), Key::new("relay_role", Kind::Text)],
);
const CENTRIFUGO: Keys = Keys::new(
    "[centrifugo]",
    &[
        Key::required("url", Kind::Text),
        Key::required("api_key", Kind::Text),
        Key::new("token_secret", Kind::Text),
        Key::new("grpc_url", Kind::Text),
    ],
);
const OUTBOX: Keys = Keys::new("[outbox]", &[Key::new("retention", Kind::Duration)]);
const RELATED: Keys = Keys::new("[related]", &[Key::new("ttl", Kind::Duration)]);
/// The default of `retention`: a day to investigate a failure.
const RETENTION: Duration = Duration::from_hours(24);
/// The shortest retention: the purge must not race with the relay's windows.
const SHORTEST_RETENTION: Duration = Duration::from_mins(1);
/// The default of `ttl`, for which rows of other tables are cached: names are stale for at most a minute, with few queries.
const RELATED_TTL: Duration = Duration::from_mins(1);
/// The schemes of a database URL.
const DATABASE_SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// The schemes of Centrifugo's URLs.
const CENTRIFUGO_SCHEMES: [&str; 2] = ["http://", "https://"];

impl Config {
    /// Parses `source`; returns the configuration and all problems, in the order of their locations.
    ///
    /// `environment` looks up a variable. There is a configuration if and only if no problem is an error.
    #[must_use]
    pub fn parse(source: Source, environment: &dyn Fn(&str) -> Option<String>) -> (Option<Self>, Diagnostics) {
        let text = source.text.clone();
        let mut parser = Parser::new(&text, environment);
        let document = document::repair(&mut parser);
        let broken = std::mem::take(&mut parser.diagnostics);
        // Syntax errors have been reported; the rest of the text parses, except for duplicates.
        let (table, _) = DeTable::parse_recoverable(&document);
        let config = root(table.get_ref(), source, &mut parser);
        let mut diagnostics = without_consequences(broken, parser.diagnostics);
        diagnostics.sort();
        (config.filter(|_| !diagnostics.has_errors()), diagnostics)
    }
}

/// Returns all problems, but after a syntax error not those that the unreadable statement may have caused.
fn without_consequences(broken: Diagnostics, mut found: Diagnostics) -> Diagnostics {
    let syntax = broken.items.iter().any(|item| item.code == code::SYNTAX);
    let doubtful = [
        code::MISSING_KEY,
        code::NOTHING_WATCHED,
        code::UNCERTAIN_COLUMN,
        code::DUPLICATE_WATCH,
        code::UNHEARD_CHANNEL,
    ];
    found.items.retain(|item| !syntax || !doubtful.contains(&item.code));
    Diagnostics {
        items: broken.items.into_iter().chain(found.items).collect(),
    }
}

fn root<'a>(table: &'a DeTable<'a>, source: Source, parser: &mut Parser<'_>) -> Option<Config> {
    let root = TomlTable::new(table, 0..0, &KEYS, parser);
    let site = root
        .string("site", parser)
        .and_then(|site| expand(parser, site))
        .map(|site| site.value);
    let database = database(&root, parser);
    let centrifugo = centrifugo(&root, parser);
    let hub = hub::hub(&root, parser);
    let retention = retention(&root, parser);
    let related = root.table("related", &RELATED, parser);
    let related_ttl = related.and_then(|table| duration::at(&table, "ttl", "related.ttl", parser));
    let (prefix, anonymous) = prefix_and_anonymous(&root, parser);
    let channels = channel::channels(&root, &prefix, parser);
    let django = django::django(&root, parser);
    let server = server::server(&root, parser);
    let watches = watch::watches(&root, parser);
    for rule in watches.iter().flat_map(|watch| &watch.rules) {
        channel::name::check(&rule.destination, &prefix, parser);
    }
    // Centrifugo, or a script that signs tokens, may admit subscribers that this file does not mention, and so may a corrected file.
    let is_complete = root.has("server") && !root.has("centrifugo") && hub.token_secret.is_none();
    if is_complete && !parser.diagnostics.has_errors() {
        let rules = watches.iter().flat_map(|watch| &watch.rules);
        channel::unheard::check(rules, &channels, &prefix, django.is_some(), parser);
        if let Some(server) = &server {
            server.warn_if_unreachable(&root, anonymous || django.is_some(), parser);
        }
    }
    Some(Config {
        source,
        site,
        database: database?,
        centrifugo,
        hub,
        django,
        server,
        retention,
        related_ttl: related_ttl.unwrap_or(RELATED_TTL),
        prefix,
        anonymous,
        channels,
        watches,
    })
}

/// Parses `[database]`.
fn database(root: &TomlTable<'_>, parser: &mut Parser<'_>) -> Option<Database> {
    if !root.has("database") {
        let message = "the table `[database]` is missing";
        let problem = Diagnostic {
            span: None,
            ..Diagnostic::error(code::MISSING_KEY, 0..0, message, "")
        };
        parser.report(problem.help("add `[database]` with `url = \"${DATABASE_URL}\"`".to_owned()));
        return None;
    }
    let table = root.table("database", &DATABASE, parser)?;
    // The variable may be empty on a developer's machine, where one role does everything.
    let relay_role = text(&table, "relay_role", parser).filter(|role| !role.value.trim().is_empty());
    let url = url(&table, "database.url", &DATABASE_SCHEMES, "url = \"${DATABASE_URL}\"", parser)?;
    Some(Database {
        url: SecretString::from(url.value),
        relay_role,
    })
}

/// Parses `[centrifugo]`.
fn centrifugo(root: &TomlTable<'_>, parser: &mut Parser<'_>) -> Option<Centrifugo> {
    let table = root.table("centrifugo", &CENTRIFUGO, parser)?;
    let url = url(
        &table,
        "centrifugo.url",
        &CENTRIFUGO_SCHEMES,
        "url = \"http://127.0.0.1:8002\"",
        parser,
    );
    let api_key = required(&table, "api_key", "api_key = \"${CENTRIFUGO_API_KEY}\"", parser);
    let api_key = api_key.and_then(|key| not_empty("centrifugo.api_key", key, parser));
    let token_secret = text(&table, "token_secret", parser);
    let token_secret = token_secret.and_then(|secret| not_empty("centrifugo.token_secret", secret, parser));
    let grpc_url = text(&table, "grpc_url", parser);
    let grpc_url = grpc_url.and_then(|url| checked_url("centrifugo.grpc_url", url, &CENTRIFUGO_SCHEMES, parser));
    let grpc_url = grpc_url.and_then(|url| without_path("centrifugo.grpc_url", url, parser));
    let base = |url: Spanned<String>| url.value.trim_end_matches('/').to_owned();
    Some(Centrifugo {
        url: base(url?),
        api_key: SecretString::from(api_key?.value),
        token_secret: token_secret.map(|secret| SecretString::from(secret.value)),
        grpc_url: grpc_url.map(base),
    })
}

/// Parses `[outbox]`.
fn retention(root: &TomlTable<'_>, parser: &mut Parser<'_>) -> Duration {
    let table = root.table("outbox", &OUTBOX, parser);
    let Some(value) = table.and_then(|table| text(&table, "retention", parser)) else {
        return RETENTION;
    };
    match duration::parse(&value.value) {
        Some(retention) if retention >= SHORTEST_RETENTION => retention,
        found => {
            let label = if found.is_some() {
                "less than a minute"
            } else {
                "not a duration"
            };
            let message = "`outbox.retention` must be a duration of at least a minute";
            let problem = Diagnostic::error(code::BAD_VALUE, value.span, message, label);
            parser.report(problem.help("write it like `24h`, `30m`, `7d` or `1h30m`".to_owned()));
            RETENTION
        }
    }
}

/// Parses `[channels]` without its channels: the targets' prefix, and whether anonymous visitors may connect.
fn prefix_and_anonymous(root: &TomlTable<'_>, parser: &mut Parser<'_>) -> (String, bool) {
    let found = root.table("channels", &channel::KEYS, parser);
    let prefix = found.as_ref().and_then(|table| text(table, "prefix", parser));
    if let Some(prefix) = &prefix {
        channel::name::check_prefix(prefix, parser);
    }
    let anonymous = found.and_then(|table| table.boolean("anonymous", parser));
    (
        prefix.map(|prefix| prefix.value).unwrap_or_default(),
        anonymous.unwrap_or(true),
    )
}

/// Returns a string that may come from the environment.
pub(super) fn text(table: &TomlTable<'_>, key: &str, parser: &mut Parser<'_>) -> Option<Spanned<String>> {
    table.string(key, parser).and_then(|value| expand(parser, value))
}

/// Returns a required string that may come from the environment.
pub(super) fn required(table: &TomlTable<'_>, key: &str, example: &str, parser: &mut Parser<'_>) -> Option<Spanned<String>> {
    if !table.has(key) {
        table.missing(key, &format!("add `{example}`"), parser);
        return None;
    }
    text(table, key, parser)
}

/// Returns the value, unless it is blank, which is reported.
pub(super) fn not_empty(name: &str, value: Spanned<String>, parser: &mut Parser<'_>) -> Option<Spanned<String>> {
    if !value.value.trim().is_empty() {
        return Some(value);
    }
    parser.report(Diagnostic::error(
        code::BAD_VALUE,
        value.span,
        format!("`{name}` is empty"),
        "a value is needed here",
    ));
    None
}

/// Parses the URL at the last component of `name`, which must begin with one of `schemes`. Its value is never printed.
fn url(table: &TomlTable<'_>, name: &str, schemes: &[&str], example: &str, parser: &mut Parser<'_>) -> Option<Spanned<String>> {
    let key = name.rsplit('.').next().unwrap_or(name);
    required(table, key, example, parser).and_then(|value| checked_url(name, value, schemes, parser))
}

fn checked_url(name: &str, value: Spanned<String>, schemes: &[&str], parser: &mut Parser<'_>) -> Option<Spanned<String>> {
    let value = not_empty(name, value, parser)?;
    let lower = value.value.to_ascii_lowercase();
    let rest = schemes.iter().find_map(|scheme| lower.strip_prefix(scheme));
    if rest.is_some_and(|rest| !rest.is_empty()) && !value.value.contains(char::is_whitespace) {
        return Some(value);
    }
    let message = format!("`{name}` must be a URL that begins with `{}`", schemes.join("` or `"));
    parser.report(Diagnostic::error(code::BAD_VALUE, value.span, message, "not such a URL"));
    None
}

/// Checks that a URL has neither a path nor a user name.
fn without_path(name: &str, url: Spanned<String>, parser: &mut Parser<'_>) -> Option<Spanned<String>> {
    let rest = url.value.split_once("://").map_or("", |(_, rest)| rest).trim_end_matches('/');
    if !rest.contains(['/', '@', '?', '#']) {
        return Some(url);
    }
    let message = format!("`{name}` must contain only an address");
    let problem = Diagnostic::error(code::BAD_VALUE, url.span, message, "a path or a name is not used");
    parser.report(problem.help("write it like `http://127.0.0.1:10000`".to_owned()));
    None
}
