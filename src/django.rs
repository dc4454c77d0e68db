//! Django's conventions: table names of models, the models of a project, and signing.

pub mod mac;
pub mod signing;

use sqlx::{AssertSqlSafe, PgPool};

use crate::config::TableName;

/// The most characters in a table name that Django chooses on PostgreSQL (`DatabaseOperations.max_name_length`).
const NAME_LENGTH: usize = 63;

/// The number of hexadecimal digits at the end of a shortened name (`truncate_name`).
const HASH_LENGTH: usize = 4;

/// The table of groups.
pub const GROUPS: &str = "auth_group";

/// A model, as listed in `django_content_type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The app label.
    pub app: String,
    /// The class name in lower case.
    pub name: String,
}

/// Returns the table of a model: the one that it sets with `db_table`, or else Django's default.
///
/// # Errors
/// As for [`default_table`].
pub async fn table(pool: &PgPool, app: &str, model: &str, set: Option<&TableName>) -> Result<TableName, sqlx::Error> {
    match set {
        Some(table) => Ok(table.clone()),
        None => Ok(TableName {
            schema: None,
            name: default_table(pool, app, model).await?,
        }),
    }
}

/// Returns the names of the project's groups; `None` if the table is missing or may not be read. Takes ACCESS SHARE on it for a moment.
///
/// # Errors
/// When the connection fails.
pub async fn groups(pool: &PgPool) -> Result<Option<Vec<String>>, sqlx::Error> {
    let readable: Option<bool> = sqlx::query_scalar("select has_table_privilege(to_regclass($1)::oid, 'select')")
        .bind(GROUPS)
        .fetch_one(pool)
        .await?;
    if readable != Some(true) {
        return Ok(None);
    }
    // The name is a constant.
    let names = AssertSqlSafe(format!("select name::text from {GROUPS} order by name"));
    sqlx::query_scalar(names).fetch_all(pool).await.map(Some)
}

/// Returns the table of a model without `db_table`: `app_model` in lower case, shortened like Django's `truncate_name`.
///
/// # Errors
/// When the query for the hash fails. Only a long name needs it.
pub async fn default_table(pool: &PgPool, app: &str, model: &str) -> Result<String, sqlx::Error> {
    let name = format!("{app}_{}", model.to_lowercase());
    if name.chars().count() <= NAME_LENGTH {
        return Ok(name);
    }
    let digest = md5(pool, &name).await?;
    Ok(shortened(&name, &digest))
}

/// Shortens `name` to [`NAME_LENGTH`] characters, the last of which are the first of `digest`.
fn shortened(name: &str, digest: &str) -> String {
    name.chars()
        .take(NAME_LENGTH - HASH_LENGTH)
        .chain(digest.chars().take(HASH_LENGTH))
        .collect()
}

/// Returns the MD5 of a text in hexadecimal digits, like Django's `names_digest`. Takes no lock.
async fn md5(pool: &PgPool, text: &str) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("select md5($1)").bind(text).fetch_one(pool).await
}

/// Returns the models that the project has migrated; empty if the table of content types is missing or not readable. Without that
/// check, a missing privilege would abort the lookup of every other name. Briefly takes ACCESS SHARE on that table.
///
/// # Errors
/// When the connection fails.
pub async fn models(pool: &PgPool) -> Result<Vec<Model>, sqlx::Error> {
    let readable: Option<bool> =
        sqlx::query_scalar("select has_table_privilege(to_regclass('django_content_type')::oid, 'select')")
            .fetch_one(pool)
            .await?;
    if readable != Some(true) {
        return Ok(Vec::new());
    }
    let rows: Vec<(String, String)> =
        sqlx::query_as("select app_label::text, model::text from django_content_type order by app_label, model")
            .fetch_all(pool)
            .await?;
    Ok(rows.into_iter().map(|(app, name)| Model { app, name }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_ends_in_four_digits_of_its_hash() {
        // The result of Django 5: truncate_name("app_" + "m" * 70, 63).
        let name = format!("app_{}", "m".repeat(70));
        let short = shortened(&name, "d3dc1b");
        assert_eq!(short, format!("app_{}d3dc", "m".repeat(55)));
        assert_eq!(short.len(), 63);
    }
}
