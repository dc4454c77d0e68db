//! `[django]`: how the project's sessions are read.

use std::time::Duration;

use secrecy::SecretString;

use super::diagnostic::{Diagnostic, code};
use super::environment::expand;
use super::key::{Key, Keys, Kind};
use super::nearest::did_you_mean;
use super::parser::Parser;
use super::root::{not_empty, required, text};
use super::toml_table::TomlTable;
use super::{Span, Spanned, TableName, duration};

/// The keys of the table.
pub(super) const KEYS: Keys = Keys {
    one_of: &["secret_key", "whoami"],
    ..Keys::new(
        "[django]",
        &[
            Key::new("secret_key", Kind::Text),
            Key::new("secret_key_fallbacks", Kind::Texts),
            Key::new("session_cookie", Kind::Text),
            Key::new("session_engine", Kind::Text),
            Key::new("session_cookie_age", Kind::Duration),
            Key::new("user_model", Kind::Text),
            Key::new("user_table", Kind::Text),
            Key::new("whoami", Kind::Text),
        ],
    )
};
/// Django's `SESSION_COOKIE_NAME`.
const SESSION_COOKIE: &str = "sessionid";
/// Django's `SESSION_COOKIE_AGE`: two weeks.
const SESSION_COOKIE_AGE: Duration = Duration::from_hours(14 * 24);
/// The supported session engines.
const ENGINES: [&str; 3] = ["db", "cached_db", "signed_cookies"];

/// `[django]`.
#[derive(Clone, Debug)]
pub struct Django {
    /// `SECRET_KEY`; `None` only with `whoami`.
    pub secret_key: Option<SecretString>,
    /// `SECRET_KEY_FALLBACKS`.
    pub secret_key_fallbacks: Vec<SecretString>,
    /// `SESSION_COOKIE_NAME`.
    pub session_cookie: String,
    /// Where sessions are kept.
    pub session_engine: SessionEngine,
    /// `SESSION_COOKIE_AGE`, which bounds the age of signed cookies.
    pub session_cookie_age: Duration,
    /// `AUTH_USER_MODEL`.
    pub user_model: UserModel,
    /// The URL of the site's endpoint that identifies the user of a request, instead of its sessions.
    pub whoami: Option<SecretString>,
    /// The location of the table's header.
    pub span: Span,
}

/// Where Django keeps sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEngine {
    /// In `django_session`: `django.contrib.sessions.backends.db` and `cached_db`.
    Database,
    /// In the cookie: `django.contrib.sessions.backends.signed_cookies`.
    SignedCookies,
}

/// The user model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserModel {
    /// The app label.
    pub app: String,
    /// The class name.
    pub name: String,
    /// The table, if it is not Django's default.
    pub table: Option<TableName>,
    /// Where the file names the table, or else the model; `None` if it names neither and the model is Django's own.
    pub place: Option<Span>,
}

/// Parses `[django]`. `None` if it is missing or invalid, which has been reported.
pub(super) fn django(root: &TomlTable<'_>, parser: &mut Parser<'_>) -> Option<Django> {
    let table = root.table("django", &KEYS, parser)?;
    let whoami = whoami(&table, parser);
    let needs_key = !table.has("whoami") || table.has("secret_key");
    let secret_key = needs_key.then(|| {
        required(&table, "secret_key", "secret_key = \"${DJANGO_SECRET_KEY}\"", parser)
            .and_then(|key| not_empty("django.secret_key", key, parser))
    });
    let session_cookie = text(&table, "session_cookie", parser)
        .and_then(|cookie| not_empty("django.session_cookie", cookie, parser))
        .map_or_else(|| SESSION_COOKIE.to_owned(), |cookie| cookie.value);
    let secret_key_fallbacks = fallbacks(&table, parser);
    let session_engine = engine(&table, parser);
    let session_cookie_age = duration::at(&table, "session_cookie_age", "django.session_cookie_age", parser);
    let user_model = user_model(&table, parser);
    Some(Django {
        secret_key: match secret_key {
            Some(key) => Some(SecretString::from(key?.value)),
            None => None,
        },
        secret_key_fallbacks,
        session_cookie,
        session_engine,
        session_cookie_age: session_cookie_age.unwrap_or(SESSION_COOKIE_AGE),
        user_model,
        whoami,
        span: table.span,
    })
}

fn whoami(table: &TomlTable<'_>, parser: &mut Parser<'_>) -> Option<SecretString> {
    let url = text(table, "whoami", parser)?;
    let rest = url
        .value
        .strip_prefix("https://")
        .or_else(|| url.value.strip_prefix("http://"));
    if rest.is_some_and(|rest| !rest.is_empty()) && !url.value.contains(char::is_whitespace) {
        return Some(SecretString::from(url.value));
    }
    let message = "`django.whoami` must be a URL that begins with `https://` or `http://`";
    parser.report(Diagnostic::error(code::BAD_VALUE, url.span, message, "not such a URL"));
    None
}

/// Parses the fallbacks. An empty one, such as a variable that is only set during key rotation, is omitted.
fn fallbacks(table: &TomlTable<'_>, parser: &mut Parser<'_>) -> Vec<SecretString> {
    let keys = table.strings("secret_key_fallbacks", parser).unwrap_or_default();
    keys.into_iter()
        .filter_map(|key| expand(parser, key))
        .filter(|key| !key.value.is_empty())
        .map(|key| SecretString::from(key.value))
        .collect()
}

fn engine(table: &TomlTable<'_>, parser: &mut Parser<'_>) -> SessionEngine {
    let Some(engine) = text(table, "session_engine", parser) else {
        return SessionEngine::Database;
    };
    // Django's setting is a module path, which is accepted here too.
    let name = engine.value.rsplit('.').next().unwrap_or_default();
    match name {
        "db" | "cached_db" => {}
        "signed_cookies" => return SessionEngine::SignedCookies,
        other => {
            let help = match other {
                "cache" | "file" => "sessions of this kind are not in the database, where Instant could read them".to_owned(),
                _ => {
                    did_you_mean(other, ENGINES).unwrap_or_else(|| "one of \"db\", \"cached_db\", \"signed_cookies\"".to_owned())
                }
            };
            let message = "`django.session_engine` is not an engine that can be read";
            parser.report(Diagnostic::error(code::BAD_VALUE, engine.span, message, "no such engine").help(help));
        }
    }
    SessionEngine::Database
}

fn user_model(table: &TomlTable<'_>, parser: &mut Parser<'_>) -> UserModel {
    let own = text(table, "user_table", parser);
    let place = own.as_ref().map(|name| name.span.clone());
    let own = own.and_then(|name| table_name(&name, parser));
    let default = UserModel {
        app: "auth".to_owned(),
        name: "User".to_owned(),
        table: own.clone(),
        place: place.clone(),
    };
    let Some(model) = text(table, "user_model", parser) else {
        return default;
    };
    let parts = model.value.split_once('.');
    let parts = parts.filter(|(app, name)| !app.is_empty() && !name.is_empty() && !name.contains('.'));
    let Some((app, name)) = parts else {
        let message = "`django.user_model` must be `app.Model`, as in AUTH_USER_MODEL";
        parser.report(Diagnostic::error(code::BAD_VALUE, model.span, message, "not such a name"));
        return default;
    };
    UserModel {
        app: app.to_owned(),
        name: name.to_owned(),
        table: own,
        place: place.or(Some(model.span)),
    }
}

fn table_name(name: &Spanned<String>, parser: &mut Parser<'_>) -> Option<TableName> {
    TableName::parse(&name.value)
        .map_err(|wrong| {
            let message = "`django.user_table` is not a valid table name";
            parser.report(Diagnostic::error(code::BAD_VALUE, name.span.clone(), message, wrong));
        })
        .ok()
}
