//! Why the database could not be changed.

use super::apply::ATTEMPTS;

/// Why the database could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The schema was migrated by a newer binary.
    #[error("the schema `instant` was made by a newer version: use that version of `instant`")]
    Newer,
    /// The schema was restored without its rows.
    #[error(
        "the schema `instant` exists without its rows, as after a restore without data: neither its version nor its cursor is known; \
         run `instant remove`, then `instant apply`"
    )]
    WithoutRows,
    /// The role that `[database] relay_role` names does not exist.
    #[error("there is no role `{0}`, which `[database] relay_role` names: create it, or fix the name")]
    NoRole(String),
    /// A table of the project that `[django]` needs was not found.
    #[error("there is no table `{table}`, which `[django]` needs: {place}; {help}")]
    NoTable {
        /// The table.
        table: String,
        /// Where it was looked for.
        place: String,
        /// The suggested fix.
        help: &'static str,
    },
    /// The table of users does not belong to a Django user model.
    #[error("the table `{0}` has no key of one column or no `password`: `[django] user_model` must name a Django user model")]
    NoUsers(String),
    /// Another `apply` or `remove` is running.
    #[error("another `instant apply` or `remove` is running in this database: wait until it ends, then try again")]
    AnotherApply,
    /// The migrations failed.
    #[error("the schema `instant` could not be migrated")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A table was busy at every attempt.
    #[error(
        "no lock after {ATTEMPTS} attempts: {action}; try again at a quieter time, or look for a long transaction on {locked}"
    )]
    Busy {
        /// The step that got no lock.
        action: String,
        /// What it locks.
        locked: &'static str,
    },
    /// A step failed.
    #[error("{action}: {}", describe(.source))]
    Step {
        /// The step's action.
        action: String,
        /// The cause.
        source: sqlx::Error,
    },
    /// Objects that are not ours depend on the schema.
    #[error("nothing was removed, because these depend on the schema `instant`: {}; drop them, then try again", .0.join(", "))]
    Needed(Vec<String>),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What PostgreSQL says, with its details.
fn describe(error: &sqlx::Error) -> String {
    let Some(server) = error.as_database_error() else {
        return error.to_string();
    };
    let detail = server
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .and_then(sqlx::postgres::PgDatabaseError::detail);
    match detail {
        Some(detail) => format!("{} ({detail})", server.message()),
        None => server.message().to_owned(),
    }
}
