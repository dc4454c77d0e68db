//! The search path of names without a schema. Reads only the catalog, and takes no lock.

use sqlx::{FromRow, PgPool};

/// The connection's search path.
#[derive(FromRow)]
struct SearchPath {
    role: String,
    /// The setting, unexpanded.
    setting: String,
    /// The schemas on it that the role may not use: PostgreSQL silently finds nothing in them.
    closed: Vec<String>,
}

/// Describes where a missing table was looked for: in `schema`, or else on the connection's search path.
pub(in crate::capture) async fn absence(pool: &PgPool, schema: Option<&str>) -> Result<String, sqlx::Error> {
    if schema.is_some() {
        return Ok("not in this schema".to_owned());
    }
    let SearchPath { role, setting, closed } = sqlx::query_as(
        "select current_user::text as role, current_setting('search_path') as setting,
                array(
                    select n.nspname::text
                    from unnest(string_to_array(current_setting('search_path'), ',')) with ordinality as part (name, place)
                    join pg_namespace n on n.nspname = replace(trim(both ' \"' from part.name), '$user', current_user)
                    where not has_schema_privilege(n.oid, 'usage')
                    order by part.place
                ) as closed",
    )
    .fetch_one(pool)
    .await?;
    let closed: Vec<String> = closed.iter().map(|schema| format!("`{schema}`")).collect();
    let closed = match closed.as_slice() {
        [] => String::new(),
        _ => format!(", and the role may not use {}", closed.join(", ")),
    };
    Ok(format!(
        "not on the search path of the role `{role}`, which is `{setting}`{closed}"
    ))
}
