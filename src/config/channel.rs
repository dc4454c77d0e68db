//! `[channels."room:{room_id}"]`: who may subscribe to channels other than those of targets, and their options.

pub(super) mod name;
mod pattern;
mod query;
pub(super) mod unheard;

use std::time::Duration;

use toml::de::DeValue;

use super::diagnostic::{Diagnostic, code};
use super::key::{Key, Keys, Kind};
use super::nearest::did_you_mean;
use super::parser::Parser;
use super::toml_table::TomlTable;
use super::{Span, Spanned, duration};

pub use name::{MAX_BYTES, namespace};
pub use pattern::Pattern;
pub use query::{Part, Query, USER};

/// The keys of `[channels]`; any other is a channel.
pub(super) const KEYS: Keys = Keys {
    others: Some(Kind::Table(&CHANNEL)),
    ..Keys::new(
        "[channels]",
        &[Key::new("prefix", Kind::Text), Key::new("anonymous", Kind::Boolean)],
    )
};
/// The keys of a channel's table.
const CHANNEL: Keys = Keys::new(
    "[channels.\"…\"]",
    &[
        Key::required("allow", Kind::Text),
        Key::new("history", Kind::Table(&HISTORY)),
        Key::new("presence", Kind::Boolean),
        Key::new("recover", Kind::Boolean),
        Key::new("publish", Kind::Words(&PUBLISHERS)),
    ],
);
/// The keys of `history`.
const HISTORY: Keys = Keys::new(
    "history",
    &[Key::required("size", Kind::Positive), Key::required("ttl", Kind::Duration)],
);
/// The audiences of `publish`.
const PUBLISHERS: [&str; 2] = ["everyone", "users"];
/// The audiences of `allow` that are a single word.
const WORDS: [&str; 3] = ["everyone", "users", "staff"];

/// Who may subscribe to the channels that match a pattern, and the options of their namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRule {
    /// The channels that it matches.
    pub pattern: Pattern,
    /// The location of its table.
    pub span: Span,
    /// Who may subscribe.
    pub allow: Allow,
    /// The history of each channel; `None` if nothing is kept.
    pub history: Option<History>,
    /// Whether subscribers may query who else is subscribed.
    pub presence: bool,
    /// Whether a client that reconnects receives the publications that it missed.
    pub recover: bool,
    /// Which subscribers may publish; `None` if only Instant and the API may.
    pub publish: Option<Publish>,
}

/// Which subscribers may publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// All of them.
    Everyone,
    /// The logged-in ones.
    Users,
}

/// Who may subscribe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Anonymous visitors too.
    Everyone,
    /// Logged-in users.
    Users,
    /// Users with `is_staff`.
    Staff,
    /// Users for whom a query finds a row.
    Query(Query),
}

/// `history = { size, ttl }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// The most publications kept per channel.
    pub size: u32,
    /// How long they are kept.
    pub ttl: Duration,
}

impl ChannelRule {
    /// Returns the part of its channels before the first colon. Centrifugo has options per namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.pattern.namespace()
    }
}

/// Parses the channel tables of `[channels]`, in the order of the file.
pub(super) fn channels(root: &TomlTable<'_>, prefix: &str, parser: &mut Parser<'_>) -> Vec<ChannelRule> {
    let Some((DeValue::Table(table), _)) = root.value("channels") else {
        return Vec::new();
    };
    let mut channels: Vec<ChannelRule> = Vec::new();
    let mut named: Vec<_> = table
        .iter()
        .filter(|(key, _)| KEYS.names().all(|known| known != key.get_ref()))
        .collect();
    named.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in named {
        let name = Spanned {
            value: key.get_ref().to_string(),
            span: key.span(),
        };
        let DeValue::Table(options) = value.get_ref() else {
            not_a_table(&name, parser);
            continue;
        };
        let options = TomlTable::new(options, value.span(), &CHANNEL, parser);
        let pattern = pattern::parse(&name, prefix, parser);
        let found = channel(&options, pattern, name.span.clone(), parser);
        let Some(found) = found else { continue };
        conflicts(&found, &channels, parser);
        channels.push(found);
    }
    channels
}

fn channel(table: &TomlTable<'_>, pattern: Option<Pattern>, span: Span, parser: &mut Parser<'_>) -> Option<ChannelRule> {
    let allow = allow(table, pattern.as_ref(), parser);
    let history = history(table, parser);
    let presence = table.boolean("presence", parser).unwrap_or(false);
    let recover = table.boolean("recover", parser);
    if recover == Some(true) && !table.has("history") {
        let at = table.key_span("recover").unwrap_or_else(|| span.clone());
        let problem = Diagnostic::error(code::BAD_VALUE, at, "`recover` needs `history`", "nothing is kept");
        parser.report(problem.help("add `history = { size = 100, ttl = \"1h\" }`".to_owned()));
    }
    Some(ChannelRule {
        pattern: pattern?,
        span,
        allow: allow?,
        history,
        presence,
        recover: recover.unwrap_or(history.is_some()),
        publish: publish(table, parser),
    })
}

fn publish(table: &TomlTable<'_>, parser: &mut Parser<'_>) -> Option<Publish> {
    let text = table.string("publish", parser)?;
    match text.value.as_str() {
        "everyone" => return Some(Publish::Everyone),
        "users" => return Some(Publish::Users),
        _ => {}
    }
    let message = "`publish` must be \"everyone\" or \"users\"";
    let help = did_you_mean(&text.value, PUBLISHERS);
    let help = help.unwrap_or_else(|| "without it, subscribers only receive".to_owned());
    parser.report(Diagnostic::error(code::BAD_VALUE, text.span, message, "none of these").help(help));
    None
}

fn allow(table: &TomlTable<'_>, pattern: Option<&Pattern>, parser: &mut Parser<'_>) -> Option<Allow> {
    if !table.has("allow") {
        table.missing(
            "allow",
            "add `allow = \"users\"`, or a query that finds who may subscribe",
            parser,
        );
        return None;
    }
    let text = table.string("allow", parser)?;
    match text.value.as_str() {
        "everyone" => return Some(Allow::Everyone),
        "users" => return Some(Allow::Users),
        "staff" => return Some(Allow::Staff),
        _ => {}
    }
    let first = text.value.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if ["select", "with"].contains(&first.as_str()) {
        return query::parse(&text, pattern, parser).map(Allow::Query);
    }
    let message = "`allow` must be \"everyone\", \"users\", \"staff\" or a query";
    let help = did_you_mean(&text.value, WORDS);
    let help = help.unwrap_or_else(|| "a query begins with `select`, and admits the users for whom it finds a row".to_owned());
    parser.report(Diagnostic::error(code::BAD_VALUE, text.span, message, "none of these").help(help));
    None
}

fn history(table: &TomlTable<'_>, parser: &mut Parser<'_>) -> Option<History> {
    let table = table.table("history", &HISTORY, parser)?;
    for key in HISTORY.names().filter(|key| !table.has(key)) {
        table.missing(key, "write it like `history = { size = 100, ttl = \"1h\" }`", parser);
    }
    let size = table.positive("size", parser);
    let ttl = duration::at(&table, "ttl", "history.ttl", parser);
    Some(History { size: size?, ttl: ttl? })
}

/// Reports rules of one namespace with different options, since Centrifugo has options per namespace.
fn conflicts(found: &ChannelRule, others: &[ChannelRule], parser: &mut Parser<'_>) {
    let options = |channel: &ChannelRule| (channel.history, channel.presence, channel.recover, channel.publish);
    let other = others
        .iter()
        .find(|other| other.namespace() == found.namespace() && options(other) != options(found));
    if other.is_some() {
        let message = format!(
            "the channels of `{}:` differ in `history`, `presence`, `recover` or `publish`",
            found.namespace()
        );
        let label = "Centrifugo has these options per namespace";
        let problem = Diagnostic::error(code::BAD_VALUE, found.span.clone(), message, label);
        parser.report(problem.help("give them the same options, or another name before the colon".to_owned()));
    }
}

fn not_a_table(name: &Spanned<String>, parser: &mut Parser<'_>) {
    let problem = Diagnostic::error(
        code::UNKNOWN_KEY,
        name.span.clone(),
        "unknown key in `[channels]`",
        "not a key of this version",
    );
    let known = || KEYS.names().collect::<Vec<_>>().join(", ");
    let help = did_you_mean(&name.value, KEYS.names())
        .unwrap_or_else(|| format!("known keys: {}; a channel is a table of its own", known()));
    parser.report(problem.help(help));
}
