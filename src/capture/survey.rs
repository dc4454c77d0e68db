//! The tables that can be watched.

use sqlx::{FromRow, PgPool};

use super::identifier::QualifiedName;

/// A table that can be watched.
#[derive(Clone, Debug)]
pub struct Surveyed {
    /// Its name.
    pub name: QualifiedName,
    /// Whether the connection finds it without its schema.
    pub on_path: bool,
    /// Its columns, in their order.
    pub columns: Vec<SurveyedColumn>,
}

/// A column of a surveyed table.
#[derive(Clone, Debug)]
pub struct SurveyedColumn {
    /// Its name.
    pub name: String,
    /// Whether it belongs to the primary key.
    pub is_key: bool,
    /// Whether its values are of no use in an event: bytes, search vectors, virtual generated columns.
    pub is_bulky: bool,
    /// Whether it is a foreign key to Django's users.
    pub is_user: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "a row has the columns that it has")]
#[derive(FromRow)]
struct Row {
    schema: String,
    table: String,
    on_path: bool,
    column: String,
    is_key: bool,
    is_bulky: bool,
    is_user: bool,
}

/// Returns the tables that have a primary key, belong to no extension, and are neither partitions nor Instant's own. Reads only the
/// catalog.
///
/// # Errors
/// When the database does not answer.
pub async fn survey(pool: &PgPool) -> Result<Vec<Surveyed>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select n.nspname::text as schema, c.relname::text as table, n.nspname = any (current_schemas(false)) as on_path,
                a.attname::text as column, a.attnum = any (key.conkey) as is_key,
                a.attgenerated = 'v' or t.typname in ('bytea', 'tsvector') as is_bulky,
                exists (select from pg_constraint f
                        where f.conrelid = c.oid and f.contype = 'f' and f.conkey = array[a.attnum]
                          and f.confrelid = to_regclass('auth_user')) as is_user
         from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
         join pg_constraint key on key.conrelid = c.oid and key.contype = 'p'
         join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         join pg_type t on t.oid = a.atttypid
         where c.relkind in ('r', 'p') and not c.relispartition
           and n.nspname not in ('information_schema', 'instant') and not starts_with(n.nspname, 'pg_')
           and not exists (select from pg_depend d
                           where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
         order by on_path desc, n.nspname, c.relname, a.attnum",
    )
    .fetch_all(pool)
    .await?;
    let mut tables: Vec<Surveyed> = Vec::new();
    for row in rows {
        let name = QualifiedName::new(row.schema, row.table);
        if tables.last().is_none_or(|table| table.name != name) {
            tables.push(Surveyed {
                name,
                on_path: row.on_path,
                columns: Vec::new(),
            });
        }
        if let Some(table) = tables.last_mut() {
            table.columns.push(SurveyedColumn {
                name: row.column,
                is_key: row.is_key,
                is_bulky: row.is_bulky,
                is_user: row.is_user,
            });
        }
    }
    Ok(tables)
}
