//! Why a question has no answer.

use crate::config;

/// Why it cannot be said who may listen. Nobody is let in then, and asking again may help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database URL cannot be read. What it is never shows.
    #[error("{}", config::UNREADABLE_URL)]
    Url,
    /// The database did not answer in time.
    #[error("the database does not answer in time")]
    TimedOut,
    /// More is asked of rules' queries than they answer.
    #[error("more is asked of the queries of channels than they answer at once; are they slow?")]
    Busy,
    /// The functions that tell of sessions and users are not there, or this role may not call them.
    #[error("sessions cannot be looked up; run `instant apply`, with `relay_role` where `run` connects as another role")]
    NotApplied(#[source] sqlx::Error),
    /// The function that tells of users is not there, or this role may not call it, where the site says who somebody is.
    #[error(
        "users cannot be looked up: beside `[django] whoami` that needs Django's table of users in this database, which `user_model` or \
         `user_table` may name; then run `instant apply`, with `relay_role` where `run` connects as another role"
    )]
    NoUsers(#[source] sqlx::Error),
    /// A channel rule's query cannot be run.
    #[error("the query of the channel `{channel}` cannot be run: {}", describe(.source))]
    Rule {
        /// The rule, as it is named in `instant.toml`.
        channel: String,
        /// Why.
        source: sqlx::Error,
    },
    /// The site's own endpoint did not answer. The error names no URL.
    #[error("`[django] whoami` cannot be asked: is the site up, and does it answer within two seconds?")]
    Site(#[source] reqwest::Error),
    /// The site's own endpoint answered with another status.
    #[error("`[django] whoami` answers {0}: it must answer 200 with JSON, or 204, 401 or 403 for a visitor")]
    SiteStatus(u16),
    /// The site's own endpoint answered something else.
    #[error(
        "`[django] whoami` must answer JSON like {{\"user\": \"42\", \"is_staff\": false, \"is_superuser\": false, \"groups\": []}}"
    )]
    SiteAnswer,
    /// The database did not answer.
    #[error("the database cannot be asked")]
    Database(#[source] sqlx::Error),
}

/// What PostgreSQL says about a value that is not of its type: data exceptions are of this class.
const DATA_EXCEPTION: &str = "22";
/// What says nothing of the statement: a server that ends or has just begun, one that takes no more connections, and what poolers say.
/// Other errors of connections and resources are a statement's own where it reads a foreign table or much at once.
const OF_SERVER: [&str; 3] = ["57P", "53300", "08P01"];
/// `undefined_function`, `insufficient_privilege` and `invalid_schema_name`.
const NOT_APPLIED: [&str; 3] = ["42883", "42501", "3F000"];

impl Error {
    /// The problem of a look-up.
    pub(super) fn of_lookup(error: sqlx::Error) -> Self {
        match code(&error) {
            Some(code) if NOT_APPLIED.contains(&code.as_str()) => Self::NotApplied(error),
            _ => Self::Database(error),
        }
    }
}

/// Whether a value was not one of its column's type, so that nothing can have it.
pub(super) fn is_bad_value(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code.starts_with(DATA_EXCEPTION))
}

/// Whether the database has answered, and its answer is about the statement.
pub(super) fn is_about_statement(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code.starts_with("42"))
}

/// Whether there is no answer, for a reason that is not the statement's.
pub(super) fn is_about_server(error: &sqlx::Error) -> bool {
    code(error).is_none_or(|code| OF_SERVER.iter().any(|class| code.starts_with(class)))
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

/// What the database says of a statement.
pub(super) fn describe(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .map_or_else(|| error.to_string(), |server| server.message().to_owned())
}
