//! The queries of the catalog. Each reads only PostgreSQL's own tables, and takes no lock that another session could wait for.

use sqlx::postgres::types::Oid;
use sqlx::{FromRow, PgPool};

use super::{Kind, Relation};
use crate::capture::identifier::QualifiedName;

/// A column, as the catalog describes it.
#[derive(FromRow)]
pub(super) struct ColumnRow {
    pub(super) name: String,
    /// The name of its type, with the schema unless that is `pg_catalog`: independent of the connection's search path.
    pub(super) data_type: String,
    /// `s` if generated and stored, `v` if generated and virtual, empty otherwise.
    pub(super) generated: String,
    /// The type underneath domains and arrays.
    pub(super) base_type: String,
    /// Whether the base type is PostgreSQL's own.
    pub(super) builtin: bool,
    pub(super) is_enum: bool,
    pub(super) is_array: bool,
}

#[derive(FromRow)]
struct RelationRow {
    oid: Oid,
    schema: String,
    name: String,
    kind: String,
    partition: bool,
}

impl From<RelationRow> for Relation {
    fn from(row: RelationRow) -> Self {
        Self {
            oid: row.oid,
            name: QualifiedName::new(row.schema, row.name),
            kind: match (row.kind.as_str(), row.partition) {
                ("f", _) => Kind::Foreign,
                ("v" | "m", _) => Kind::View,
                ("p", false) => Kind::Partitioned,
                (_, true) => Kind::Partition,
                _ => Kind::Table,
            },
        }
    }
}

/// Returns the relation with this name: in `schema`, or else the first on the connection's search path.
pub(in crate::capture) async fn find(pool: &PgPool, schema: Option<&str>, name: &str) -> Result<Option<Relation>, sqlx::Error> {
    let row: Option<RelationRow> = sqlx::query_as(
        "select c.oid, n.nspname::text as schema, c.relname::text as name, c.relkind::text as kind, c.relispartition as partition
         from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
         where c.relname = $2::text
           and c.relkind in ('r', 'p', 'f', 'v', 'm')
           and case when $1::text is null then n.nspname = any (current_schemas(false)) else n.nspname = $1 end
         order by array_position(current_schemas(false), n.nspname)
         limit 1",
    )
    .bind(schema)
    .bind(name)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Relation::from))
}

/// Returns the candidates for "did you mean": the tables of `schema`, or else of the search path.
pub(in crate::capture) async fn names(pool: &PgPool, schema: Option<&str>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select c.relname::text
         from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p')
           and case when $1::text is null then n.nspname = any (current_schemas(false)) else n.nspname = $1 end
         order by c.relname",
    )
    .bind(schema)
    .fetch_all(pool)
    .await
}

/// Returns the columns of a table in its order, each with the type underneath domains and arrays.
pub(super) async fn columns(pool: &PgPool, table: Oid) -> Result<Vec<ColumnRow>, sqlx::Error> {
    sqlx::query_as(
        "with recursive base as (
             select a.attnum, t.typname, t.typtype, t.typcategory, t.typbasetype, t.typelem, t.typnamespace, false as is_array
             from pg_attribute a
             join pg_type t on t.oid = a.atttypid
             where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
             union all
             select b.attnum, t.typname, t.typtype, t.typcategory, t.typbasetype, t.typelem, t.typnamespace,
                    b.is_array or b.typtype <> 'd'
             from base b
             join pg_type t
               on t.oid = case when b.typtype = 'd' then b.typbasetype when b.typcategory = 'A' then b.typelem end
         )
         select a.attname::text as name, a.attgenerated::text as generated, b.typname::text as base_type,
                concat(nullif(n.nspname, 'pg_catalog') || '.', t.typname) as data_type,
                b.typnamespace = 'pg_catalog'::regnamespace as builtin, b.typtype = 'e' as is_enum, b.is_array
         from pg_attribute a
         join base b on b.attnum = a.attnum and b.typtype <> 'd' and (b.typcategory <> 'A' or b.typelem = 0)
         join pg_type t on t.oid = a.atttypid
         join pg_namespace n on n.oid = t.typnamespace
         where a.attrelid = $1
         order by a.attnum",
    )
    .bind(table)
    .fetch_all(pool)
    .await
}

/// Returns the columns of a table's primary key in the key's order, which may differ from the table's.
pub(in crate::capture) async fn primary_key(pool: &PgPool, table: Oid) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select a.attname::text
         from pg_constraint c
         cross join unnest(c.conkey) with ordinality as k (attnum, place)
         join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum
         where c.conrelid = $1 and c.contype = 'p'
         order by k.place",
    )
    .bind(table)
    .fetch_all(pool)
    .await
}

/// Returns the unique and primary key constraints that may be checked at the end of a transaction.
pub(super) async fn deferrable_constraints(pool: &PgPool, table: Oid) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select conname::text from pg_constraint where conrelid = $1 and contype in ('p', 'u') and condeferrable order by conname",
    )
    .bind(table)
    .fetch_all(pool)
    .await
}

/// Returns the table and column that a single-column foreign key on `column` references. A foreign key to a partitioned table has others
/// to its partitions beneath it, which do not count; of several others it is the first by name.
pub(in crate::capture) async fn foreign_key(
    pool: &PgPool,
    table: Oid,
    column: &str,
) -> Result<Option<(Relation, String)>, sqlx::Error> {
    #[derive(FromRow)]
    struct ForeignKey {
        #[sqlx(flatten)]
        relation: RelationRow,
        key: String,
    }
    let found: Option<ForeignKey> = sqlx::query_as(
        "select c.oid, n.nspname::text as schema, c.relname::text as name, c.relkind::text as kind,
                c.relispartition as partition, key.attname::text as key
         from pg_constraint f
         join pg_attribute a on a.attrelid = f.conrelid and f.conkey = array[a.attnum]
         join pg_class c on c.oid = f.confrelid
         join pg_namespace n on n.oid = c.relnamespace
         join pg_attribute key on key.attrelid = f.confrelid and f.confkey = array[key.attnum]
         where f.conrelid = $1 and f.contype = 'f' and a.attname = $2::text
         order by c.relispartition, f.conname
         limit 1",
    )
    .bind(table)
    .bind(column)
    .fetch_optional(pool)
    .await?;
    Ok(found.map(|found| (found.relation.into(), found.key)))
}

/// Returns whether a column alone identifies the rows of a table.
pub(in crate::capture) async fn is_unique(pool: &PgPool, table: Oid, column: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (
             select
             from pg_index i
             join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
             where i.indrelid = $1 and i.indisunique and i.indisvalid and i.indnkeyatts = 1 and i.indpred is null
               and a.attname = $2::text
         )",
    )
    .bind(table)
    .bind(column)
    .fetch_one(pool)
    .await
}

/// Returns the tables above a partition, nearest first.
pub(super) async fn partition_ancestors(pool: &PgPool, table: Oid) -> Result<Vec<Oid>, sqlx::Error> {
    sqlx::query_scalar("select relid::oid from pg_partition_ancestors($1) where relid::oid <> $1")
        .bind(table)
        .fetch_all(pool)
        .await
}

/// Returns the tables that inherit from a table, at any depth, each with its shortest distance. Partitions are left out, since PostgreSQL
/// itself clones triggers to them.
pub(in crate::capture) async fn descendants(
    pool: &PgPool,
    table: &QualifiedName,
) -> Result<Vec<(QualifiedName, i32)>, sqlx::Error> {
    let rows: Vec<(String, String, i32)> = sqlx::query_as(
        "with recursive heirs as (
             select i.inhrelid, 1 as distance
             from pg_inherits i
             join pg_class c on c.oid = i.inhparent
             join pg_namespace n on n.oid = c.relnamespace
             where n.nspname = $1::text and c.relname = $2::text
             union
             select i.inhrelid, h.distance + 1
             from heirs h
             join pg_inherits i on i.inhparent = h.inhrelid
         )
         select n.nspname::text, c.relname::text, min(h.distance)
         from heirs h
         join pg_class c on c.oid = h.inhrelid
         join pg_namespace n on n.oid = c.relnamespace
         where not c.relispartition and c.relkind = 'r'
         group by 1, 2
         order by 1, 2",
    )
    .bind(&table.schema)
    .bind(&table.name)
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(schema, name, distance)| (QualifiedName::new(schema, name), distance))
        .collect())
}
