//! The errors of the authority.

use crate::config;

/// Why it could not be decided who may subscribe. Nobody is admitted then, and a retry may help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database URL cannot be read. It is never shown.
    #[error("{}", config::UNREADABLE_URL)]
    Url,
    /// The database did not answer in time.
    #[error("the database does not answer in time")]
    TimedOut,
    /// The rules' queries cannot keep up with the requests.
    #[error("the queries of the channel rules cannot keep up with the requests; are they slow?")]
    Busy,
    /// The functions that read sessions and users do not exist, or this role may not call them.
    #[error("sessions cannot be looked up; run `instant apply`, with `relay_role` where `run` connects as another role")]
    NotApplied(#[source] sqlx::Error),
    /// The function that reads users does not exist, or this role may not call it, and the site identifies users (`whoami`).
    #[error(
        "users cannot be looked up: with `[django] whoami`, this needs Django's table of users in this database, which `user_model` or \
         `user_table` may name; then run `instant apply`, with `relay_role` where `run` connects as another role"
    )]
    NoUsers(#[source] sqlx::Error),
    /// A channel rule's query cannot be run.
    #[error("the query of the channel `{channel}` cannot be run: {}", describe(.source))]
    Rule {
        /// The rule's channel, as in `instant.toml`.
        channel: String,
        /// The cause.
        source: sqlx::Error,
    },
    /// The site's own endpoint did not answer. The error names no URL.
    #[error("`[django] whoami` does not answer: is the site up, and does it answer within two seconds?")]
    Site(#[source] reqwest::Error),
    /// The site's own endpoint answered with an unexpected status.
    #[error("`[django] whoami` answers {0}: it must answer 200 with JSON, or 204, 401 or 403 for an anonymous visitor")]
    SiteStatus(u16),
    /// The site's own endpoint answered with an unexpected body.
    #[error(
        "`[django] whoami` must answer JSON like {{\"user\": \"42\", \"is_staff\": false, \"is_superuser\": false, \"groups\": []}}"
    )]
    SiteAnswer,
    /// The database did not answer.
    #[error("the database cannot be queried")]
    Database(#[source] sqlx::Error),
}

/// The class of data exceptions, with which PostgreSQL rejects a value that is not of its type.
const DATA_EXCEPTION: &str = "22";
/// The errors that say nothing about the statement: a server that stops or is starting, one that accepts no more connections, and errors
/// of poolers. Other errors of connections and resources are a statement's own, if it reads a foreign table or much data.
const OF_SERVER: [&str; 3] = ["57P", "53300", "08P01"];
/// `undefined_function`, `insufficient_privilege` and `invalid_schema_name`.
const NOT_APPLIED: [&str; 3] = ["42883", "42501", "3F000"];

impl Error {
    /// Classifies the error of a lookup.
    pub(super) fn of_lookup(error: sqlx::Error) -> Self {
        match code(&error) {
            Some(code) if NOT_APPLIED.contains(&code.as_str()) => Self::NotApplied(error),
            _ => Self::Database(error),
        }
    }
}

/// Returns whether a value was not of its column's type, so that no row can have it.
pub(super) fn is_bad_value(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code.starts_with(DATA_EXCEPTION))
}

/// Returns whether the database has answered, and rejects the statement.
pub(super) fn is_about_statement(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code.starts_with("42"))
}

/// Returns whether there is no answer, for a reason other than the statement.
pub(super) fn is_about_server(error: &sqlx::Error) -> bool {
    code(error).is_none_or(|code| OF_SERVER.iter().any(|class| code.starts_with(class)))
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

/// Returns the database's message, or else the error's own.
pub(super) fn describe(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .map_or_else(|| error.to_string(), |server| server.message().to_owned())
}
