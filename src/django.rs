//! What Instant knows of Django: which table a model has.

use sqlx::PgPool;

/// Django's default table of a model: `app_model`, cut as Django cuts names for PostgreSQL. Source: `django.db.backends.utils.truncate_name`.
///
/// # Errors
/// When the database does not answer.
pub async fn default_table(pool: &PgPool, app: &str, model: &str) -> Result<String, sqlx::Error> {
    let name = format!("{app}_{}", model.to_lowercase());
    if name.len() <= 63 {
        return Ok(name);
    }
    sqlx::query_scalar("select left($1, 59) || left(md5($1), 4)")
        .bind(name)
        .fetch_one(pool)
        .await
}

/// The models that Django's content types name, as `app.model`; none where there is no such table, or no right to read it.
pub async fn models(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select app_label || '.' || model from django_content_type order by 1")
        .fetch_all(pool)
        .await
        .unwrap_or_default()
}
