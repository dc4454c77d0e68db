//! What `apply` refuses in `[database]` and `[django]`, or accepts with a warning, as problems of the file.

use sqlx::PgPool;

use super::apply;
use super::error::Error;
use super::identity::{Users, found};
use super::resolve::{NO_ACTIVE_FLAG, NO_USERS, UNKNOWN_ROLE, UNKNOWN_TABLE};
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::{Config, Span};

/// Returns the problems of the role and of Django's tables: errors, with which `apply` would do nothing, and a warning about users who
/// cannot be deactivated. Takes no lock.
///
/// # Errors
/// When the database does not answer.
pub async fn refusals(pool: &PgPool, config: &Config) -> Result<Diagnostics, Error> {
    let mut diagnostics = Diagnostics::default();
    if let Some(role) = &config.database.relay_role {
        let found = apply::relay_role(pool, config).await;
        diagnostics.items.extend(problem(found, &role.span)?);
    }
    if let Some(django) = &config.django {
        let sessions = found::sessions(pool, django).await;
        diagnostics.items.extend(problem(sessions, &django.span)?);
        let users = found::users(pool, django).await;
        let place = django.user_model.place.as_ref().unwrap_or(&django.span);
        if let Ok(Some(users)) = &users
            && django.whoami.is_none()
            && !users.have_activity()
        {
            diagnostics.items.push(without_activity(users, place));
        }
        diagnostics.items.extend(problem(users, place)?);
    }
    diagnostics.sort();
    Ok(diagnostics)
}

/// Returns the warning about users without `is_active`. A model may leave it out, and its users are then active for Django too. It may
/// also keep it elsewhere, which the database does not show.
fn without_activity(users: &Users, place: &Span) -> Diagnostic {
    let message = format!("the table `{}` has no boolean column `is_active`", users.table);
    let problem = Diagnostic::warning(NO_ACTIVE_FLAG, place.clone(), message, "each of its users counts as active");
    let help = "if the model keeps it in another column, or computes it, set `whoami`: the site itself then identifies users";
    problem.help(help.to_owned())
}

/// Returns the problem at `span` that made `found` an error, if it is one of the file's.
fn problem<T>(found: Result<T, Error>, span: &Span) -> Result<Option<Diagnostic>, Error> {
    let Err(error) = found else { return Ok(None) };
    let at = |code, message, label: String| Diagnostic::error(code, span.clone(), message, label);
    let (problem, help) = match error {
        Error::NoRole(role) => (
            at(
                UNKNOWN_ROLE,
                format!("there is no role `{role}`"),
                "not in PostgreSQL".to_owned(),
            ),
            "create it, or fix the name",
        ),
        Error::NoTable { table, place, help } => (
            at(
                UNKNOWN_TABLE,
                format!("there is no table `{table}`, which `[django]` needs"),
                place,
            ),
            help,
        ),
        Error::NoUsers(table) => (
            at(
                NO_USERS,
                format!("the table `{table}` has no key of one column or no `password`"),
                "not a user model of Django's".to_owned(),
            ),
            "set `user_model` to AUTH_USER_MODEL, and `user_table` where that model sets `db_table`",
        ),
        other => return Err(other),
    };
    Ok(Some(problem.help(help.to_owned())))
}
