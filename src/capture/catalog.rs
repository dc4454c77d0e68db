//! What PostgreSQL's catalog says of a table.

use sqlx::{FromRow, PgPool};

use super::watch::{Column, Encoding};
use crate::config::TableName;

/// A table that can be watched.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Table {
    pub(super) oid: i64,
    pub(super) schema: String,
    pub(super) name: String,
    /// `pg_class.relkind`.
    pub(super) kind: String,
    /// Whether a unique or primary key can be checked late: an insert may then precede the delete of the same key.
    pub(super) deferrable: bool,
}

/// A column of a table.
#[derive(Clone, Debug, FromRow)]
pub(super) struct TableColumn {
    pub(super) name: String,
    /// The base type's name, domains resolved.
    base: String,
    /// The base type of an array's elements.
    element: Option<String>,
    /// `pg_attribute.attgenerated`.
    pub(super) generated: String,
    /// The column's place in the primary key, from 1.
    pub(super) key: Option<i32>,
}

/// Finds a table; without a schema through the connection's search path. Takes no lock.
pub(super) async fn table(pool: &PgPool, name: &TableName) -> Result<Option<Table>, sqlx::Error> {
    sqlx::query_as(
        "select class.oid::bigint as oid, namespace.nspname::text as schema, class.relname::text as name,
                class.relkind::text as kind,
                exists (select from pg_constraint where conrelid = class.oid and contype in ('p', 'u') and condeferrable) as deferrable
         from pg_class as class
         join pg_namespace as namespace on namespace.oid = class.relnamespace
         where class.oid = to_regclass(coalesce(quote_ident($1) || '.', '') || quote_ident($2))",
    )
    .bind(&name.schema)
    .bind(&name.name)
    .fetch_optional(pool)
    .await
}

/// The columns of a table, in order. Takes no lock.
pub(super) async fn columns(pool: &PgPool, table: &Table) -> Result<Vec<TableColumn>, sqlx::Error> {
    sqlx::query_as(
        "with recursive base (oid, typname, typtype, typbasetype, typelem, typcategory, start) as (
             select oid, typname, typtype, typbasetype, typelem, typcategory, oid from pg_type
             where oid in (select atttypid from pg_attribute where attrelid = $1::bigint::oid and attnum > 0)
             union all
             select type.oid, type.typname, type.typtype, type.typbasetype, type.typelem, type.typcategory, base.start
             from base join pg_type as type on type.oid = base.typbasetype where base.typtype = 'd'
         )
         select attribute.attname::text as name, base.typname::text as base,
                case when base.typcategory = 'A' then element.typname::text end as element,
                attribute.attgenerated::text as generated,
                array_position(key.indkey::int2[], attribute.attnum)::integer as key
         from pg_attribute as attribute
         join base on base.start = attribute.atttypid and base.typtype <> 'd'
         left join pg_type as element on element.oid = base.typelem
         left join pg_index as key on key.indrelid = attribute.attrelid and key.indisprimary
         where attribute.attrelid = $1::bigint::oid and attribute.attnum > 0 and not attribute.attisdropped
         order by attribute.attnum",
    )
    .bind(table.oid)
    .fetch_all(pool)
    .await
}

/// The tables that a person may have meant. Takes no lock.
pub(super) async fn table_names(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select case when pg_table_is_visible(oid) then relname::text else relnamespace::regnamespace::text || '.' || relname end
         from pg_class
         where relkind in ('r', 'p')
           and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'pg_toast', 'instant')",
    )
    .fetch_all(pool)
    .await
}

impl TableColumn {
    /// The column as it is captured.
    pub(super) fn column(&self) -> Column {
        let plain = |name: &str| {
            matches!(
                name,
                "int2"
                    | "int4"
                    | "int8"
                    | "text"
                    | "varchar"
                    | "bpchar"
                    | "bool"
                    | "uuid"
                    | "json"
                    | "jsonb"
                    | "name"
                    | "inet"
                    | "cidr"
            )
        };
        let encoding = match (self.base.as_str(), self.element.as_deref()) {
            ("numeric", _) => Encoding::Decimal,
            (_, Some("numeric")) => Encoding::Decimals,
            (_, Some(element)) if plain(element) => Encoding::Plain,
            (base, None) if plain(base) => Encoding::Plain,
            _ => Encoding::Pinned,
        };
        Column {
            name: self.name.clone(),
            encoding,
        }
    }
}
