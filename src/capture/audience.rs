//! Checks of the audiences that rules name: groups, and users by their keys.

use sqlx::PgPool;
use sqlx::postgres::types::Oid;

use super::catalog;
use super::resolve::{NOT_A_USER, UNKNOWN_GROUP};
use super::watch::{self, Watch};
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::nearest::did_you_mean;
use crate::config::{Config, Destination, Django, Spanned, Template};
use crate::django;

/// The most foreign keys that are followed from a column to the users: a profile of a profile is rare already.
const MAX_HOPS: usize = 4;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    table: Oid,
    column: String,
}

/// Returns the problems of the audiences that the rules of `config` name; `watches` are its resolved watches. Nothing is checked without
/// `[django]`, or if the site identifies users (`whoami`).
///
/// # Errors
/// When the database does not answer.
pub async fn audience(pool: &PgPool, config: &Config, watches: &[Watch]) -> Result<Diagnostics, sqlx::Error> {
    let mut diagnostics = Diagnostics::default();
    let Some(settings) = config.django.as_ref().filter(|django| django.whoami.is_none()) else {
        return Ok(diagnostics);
    };
    let groups = django::groups(pool).await?;
    let users = users(pool, settings).await?;
    for (named, found) in config.watches.iter().zip(watches) {
        for (rule, resolved) in named.rules.iter().zip(&found.rules) {
            match &rule.destination {
                Destination::Group(name) => diagnostics.items.extend(unknown_group(name, groups.as_deref())),
                Destination::User(field) => {
                    let Some(place) = place(pool, found, &resolved.destination).await? else {
                        continue;
                    };
                    diagnostics.items.extend(not_a_user(pool, field, place, &users).await?);
                }
                _ => {}
            }
        }
    }
    diagnostics.sort();
    Ok(diagnostics)
}

/// Returns the problem of a group that the project does not have: a warning, since the group may be created later.
fn unknown_group(name: &Template, groups: Option<&[String]>) -> Option<Diagnostic> {
    let groups = groups?;
    let known = |group: &String| *group == name.text;
    if !name.references.is_empty() || name.text.contains('{') || groups.iter().any(known) {
        return None;
    }
    let message = format!("there is no group `{}`", name.text);
    let problem = Diagnostic::warning(UNKNOWN_GROUP, name.span.clone(), message, "nobody is in it");
    let near = did_you_mean(&name.text, groups.iter().map(String::as_str));
    Some(problem.help(near.unwrap_or_else(|| "create it in the project's admin, or name another one".to_owned())))
}

/// Returns the columns that hold a user's key: that of the users' table and, if the user model has a parent, those that it references.
/// Empty if the users are not found.
async fn users(pool: &PgPool, settings: &Django) -> Result<Vec<Place>, sqlx::Error> {
    let model = &settings.user_model;
    let name = django::table(pool, &model.app, &model.name, model.table.as_ref()).await?;
    let Some(relation) = catalog::find(pool, name.schema.as_deref(), &name.name).await? else {
        return Ok(Vec::new());
    };
    match catalog::primary_key(pool, relation.oid).await?.as_slice() {
        [column] => {
            let key = Place {
                table: relation.oid,
                column: column.clone(),
            };
            path(pool, key).await
        }
        _ => Ok(Vec::new()),
    }
}

/// Returns the column that a personal target reads.
async fn place(pool: &PgPool, watch: &Watch, destination: &watch::Destination) -> Result<Option<Place>, sqlx::Error> {
    let (schema, table, column) = match destination {
        watch::Destination::User(column) => (&watch.schema, &watch.table, column.as_str()),
        watch::Destination::RelatedUser(name) => {
            let Some((path, column)) = name.rsplit_once('.') else {
                return Ok(None);
            };
            let Some(relation) = watch.related.iter().find(|relation| relation.path == path) else {
                return Ok(None);
            };
            (&relation.lookup.schema, &relation.lookup.table, column)
        }
        _ => return Ok(None),
    };
    let found = catalog::find(pool, Some(schema), table).await?;
    Ok(found.map(|relation| Place {
        table: relation.oid,
        column: column.to_owned(),
    }))
}

/// Follows the foreign keys from `start`: returns it, and the columns with the same value that they reference.
async fn path(pool: &PgPool, start: Place) -> Result<Vec<Place>, sqlx::Error> {
    let mut places = vec![start];
    while let Some(last) = places.last().filter(|_| places.len() <= MAX_HOPS) {
        let Some((relation, column)) = catalog::foreign_key(pool, last.table, &last.column).await? else {
            break;
        };
        let table = relation.oid;
        places.push(Place { table, column });
    }
    Ok(places)
}

/// Returns the problem of a field whose foreign key references another table than the users', or whose type no user's key has.
async fn not_a_user(
    pool: &PgPool,
    field: &Spanned<String>,
    place: Place,
    users: &[Place],
) -> Result<Option<Diagnostic>, sqlx::Error> {
    let Some(key) = users.first() else { return Ok(None) };
    let path = path(pool, place).await?;
    if path.iter().any(|place| users.contains(place)) {
        return Ok(None);
    }
    let own = kind(pool, &path[0]).await?;
    let wanted = kind(pool, key).await?;
    if let [_, .., last] = path.as_slice() {
        let name: String = sqlx::query_scalar("select $1::oid::regclass::text")
            .bind(last.table)
            .fetch_one(pool)
            .await?;
        let label = format!("leads to `{}` of `{name}`", last.column);
        return Ok(Some(problem(field, label)));
    }
    let text = |kind: &str| matches!(kind, "text" | "character varying" | "character" | "citext");
    let number = |kind: &str| matches!(kind, "smallint" | "integer" | "bigint" | "numeric");
    let fits = own == wanted || text(&own) || text(&wanted) || (number(&own) && number(&wanted));
    let label = format!("is of type {own}, and the key of the users of type {wanted}");
    Ok((!fits).then(|| problem(field, label)))
}

fn problem(field: &Spanned<String>, label: String) -> Diagnostic {
    let message = format!("`{}` does not hold the key of a user", field.value);
    let help = "name a field that leads to the users; `related` continues from here, as in `{ user = \"customer.user\" }`";
    Diagnostic::error(NOT_A_USER, field.span.clone(), message, label).help(help.to_owned())
}

/// Returns the type of a column, without its length.
async fn kind(pool: &PgPool, place: &Place) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("select format_type(atttypid, null) from pg_attribute where attrelid = $1 and attname = $2::text")
        .bind(place.table)
        .bind(&place.column)
        .fetch_one(pool)
        .await
}
