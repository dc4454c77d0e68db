//! `[channels."room:{room_id}"]`: who may listen to a channel that is no target's, and what Centrifugo keeps of it.

pub(super) mod name;
mod pattern;
mod query;
pub(super) mod unheard;

use std::time::Duration;

use toml::de::DeValue;

use super::diagnostic::{Diagnostic, code};
use super::key::{Key, Keys, Kind};
use super::nearest::did_you_mean;
use super::reader::Reader;
use super::reading::Reading;
use super::{Span, Spanned, duration};

pub use name::namespace;
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
/// The audiences of `allow` that are a word.
const WORDS: [&str; 3] = ["everyone", "users", "staff"];

/// One channel rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The channels it speaks of.
    pub pattern: Pattern,
    /// Its place: its table.
    pub span: Span,
    /// Who may listen.
    pub allow: Allow,
    /// What Centrifugo keeps.
    pub history: Option<History>,
    /// Whether subscribers may ask who else is there.
    pub presence: bool,
    /// Whether a client that was away gets what it missed.
    pub recover: bool,
    /// Which subscribers may publish; none: only Instant and the API do.
    pub publish: Option<Publish>,
}

/// Which subscribers may publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// All of them.
    Everyone,
    /// Those who are logged in.
    Users,
}

/// Who may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Visitors too.
    Everyone,
    /// Who is logged in.
    Users,
    /// Users with `is_staff`.
    Staff,
    /// Whom a query lets in.
    Query(Query),
}

/// `history = { size, ttl }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// The publications kept a channel.
    pub size: u32,
    /// How long each is kept.
    pub ttl: Duration,
}

impl Channel {
    /// The part of its channels before the first colon, whose options Centrifugo keeps together.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.pattern.namespace()
    }
}

/// The channel tables of `[channels]`, in the order of the file.
pub(super) fn channels(root: &Reader<'_>, prefix: &str, reading: &mut Reading<'_>) -> Vec<Channel> {
    let Some((DeValue::Table(table), _)) = root.value("channels") else {
        return Vec::new();
    };
    let mut channels: Vec<Channel> = Vec::new();
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
            not_a_table(&name, reading);
            continue;
        };
        let options = Reader::new(options, value.span(), &CHANNEL, reading);
        let pattern = pattern::parse(&name, prefix, reading);
        let found = channel(&options, pattern, name.span.clone(), reading);
        let Some(found) = found else { continue };
        conflicts(&found, &channels, reading);
        channels.push(found);
    }
    channels
}

fn channel(table: &Reader<'_>, pattern: Option<Pattern>, span: Span, reading: &mut Reading<'_>) -> Option<Channel> {
    let allow = allow(table, pattern.as_ref(), reading);
    let history = history(table, reading);
    let presence = table.boolean("presence", reading).unwrap_or(false);
    let recover = table.boolean("recover", reading);
    if recover == Some(true) && !table.has("history") {
        let at = table.key_span("recover").unwrap_or_else(|| span.clone());
        let problem = Diagnostic::error(code::BAD_VALUE, at, "`recover` needs `history`", "nothing is kept");
        reading.problem(problem.help("add `history = { size = 100, ttl = \"1h\" }`".to_owned()));
    }
    Some(Channel {
        pattern: pattern?,
        span,
        allow: allow?,
        history,
        presence,
        recover: recover.unwrap_or(history.is_some()),
        publish: publish(table, reading),
    })
}

fn publish(table: &Reader<'_>, reading: &mut Reading<'_>) -> Option<Publish> {
    let text = table.string("publish", reading)?;
    match text.value.as_str() {
        "everyone" => return Some(Publish::Everyone),
        "users" => return Some(Publish::Users),
        _ => {}
    }
    let message = "`publish` must be \"everyone\" or \"users\"";
    let help = did_you_mean(&text.value, PUBLISHERS);
    let help = help.unwrap_or_else(|| "without it, subscribers only listen".to_owned());
    reading.problem(Diagnostic::error(code::BAD_VALUE, text.span, message, "neither of them").help(help));
    None
}

fn allow(table: &Reader<'_>, pattern: Option<&Pattern>, reading: &mut Reading<'_>) -> Option<Allow> {
    if !table.has("allow") {
        table.missing("allow", "add `allow = \"users\"`, or a query of who may listen", reading);
        return None;
    }
    let text = table.string("allow", reading)?;
    match text.value.as_str() {
        "everyone" => return Some(Allow::Everyone),
        "users" => return Some(Allow::Users),
        "staff" => return Some(Allow::Staff),
        _ => {}
    }
    let first = text.value.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if ["select", "with"].contains(&first.as_str()) {
        return query::parse(&text, pattern, reading).map(Allow::Query);
    }
    let message = "`allow` must be \"everyone\", \"users\", \"staff\" or a query";
    let help = did_you_mean(&text.value, WORDS);
    let help = help.unwrap_or_else(|| "a query begins with `select`, and lets in whom it finds a row for".to_owned());
    reading.problem(Diagnostic::error(code::BAD_VALUE, text.span, message, "neither of them").help(help));
    None
}

fn history(table: &Reader<'_>, reading: &mut Reading<'_>) -> Option<History> {
    let table = table.table("history", &HISTORY, reading)?;
    for key in HISTORY.names().filter(|key| !table.has(key)) {
        table.missing(key, "write it like `history = { size = 100, ttl = \"1h\" }`", reading);
    }
    let size = table.positive("size", reading);
    let ttl = duration::at(&table, "ttl", "history.ttl", reading);
    Some(History { size: size?, ttl: ttl? })
}

/// Centrifugo keeps options a namespace: rules that share one must agree.
fn conflicts(found: &Channel, others: &[Channel], reading: &mut Reading<'_>) {
    let options = |channel: &Channel| (channel.history, channel.presence, channel.recover, channel.publish);
    let other = others
        .iter()
        .find(|other| other.namespace() == found.namespace() && options(other) != options(found));
    if other.is_some() {
        let message = format!(
            "the channels of `{}:` differ in `history`, `presence`, `recover` or `publish`",
            found.namespace()
        );
        let label = "Centrifugo keeps these by namespace";
        let problem = Diagnostic::error(code::BAD_VALUE, found.span.clone(), message, label);
        reading.problem(problem.help("give them the same options, or another name before the colon".to_owned()));
    }
}

fn not_a_table(name: &Spanned<String>, reading: &mut Reading<'_>) {
    let problem = Diagnostic::error(
        code::UNKNOWN_KEY,
        name.span.clone(),
        "unknown key in `[channels]`",
        "not a key of this version",
    );
    let known = || KEYS.names().collect::<Vec<_>>().join(", ");
    let help = did_you_mean(&name.value, KEYS.names())
        .unwrap_or_else(|| format!("known keys: {}; a channel is a table of its own", known()));
    reading.problem(problem.help(help));
}
