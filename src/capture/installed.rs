//! Our installed objects. Reads only PostgreSQL's catalog, and takes no lock that another session could wait for.

use sqlx::{FromRow, PgPool};

use super::catalog;
use super::identifier::QualifiedName;
use super::identity::Definers;
use super::schema::SchemaState;
use super::watch::Watch;

/// The state of the database.
#[derive(Clone, Debug)]
pub struct State {
    /// The schema.
    pub schema: SchemaState,
    /// The functions named `capture_…` in the schema.
    pub functions: Vec<FoundFunction>,
    /// The triggers with our names or functions, on any table.
    pub triggers: Vec<FoundTrigger>,
    /// The tables of each watch, in the order of the watches: its own, and those that inherit from it.
    pub tables: Vec<Vec<QualifiedName>>,
    /// The missing grants: statements and reasons.
    pub missing_grants: Vec<(String, &'static str)>,
    /// The functions through which the relay's role reads sessions and users.
    pub definers: Definers,
}

/// An installed trigger function.
#[derive(Clone, Debug, FromRow)]
pub struct FoundFunction {
    /// Its name, without the schema.
    pub name: String,
    /// `pg_proc.prosrc`.
    pub body: String,
    /// `pg_proc.proconfig`.
    pub settings: Vec<String>,
    /// Whether it is plpgsql, returns a trigger, and runs as its owner.
    pub fitting: bool,
    /// The roles, quoted, that may call it in addition to its owner.
    pub grantees: Vec<String>,
}

/// An installed trigger.
#[derive(Clone, Debug)]
pub struct FoundTrigger {
    /// Its name.
    pub name: String,
    /// Its table.
    pub table: QualifiedName,
    /// The partitioned tables that its table is a partition of, at any depth.
    pub ancestors: Vec<QualifiedName>,
    /// Its function's name; `None` if the function is not one of ours.
    pub function: Option<String>,
    /// `pg_trigger.tgtype`.
    pub kind: i16,
    /// Whether it fires for ordinary sessions: `pg_trigger.tgenabled` is `O` or `A`.
    pub enabled: bool,
    /// How its definition deviates from ours.
    pub shape: Shape,
    /// Whether PostgreSQL cloned it from a partitioned table's trigger.
    pub clone: bool,
}

/// The deviation of a trigger's definition from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// None.
    Plain,
    /// It has a column list, a `when`, arguments or transition tables.
    Narrowed,
    /// It is a constraint trigger, which cannot be replaced in place.
    Constraint,
}

#[derive(FromRow)]
struct TriggerRow {
    name: String,
    schema: String,
    table: String,
    ancestor_schemas: Vec<String>,
    ancestors: Vec<String>,
    function: Option<String>,
    kind: i16,
    enabled: bool,
    shape: String,
    clone: bool,
}

/// Returns our trigger functions.
pub(super) async fn functions(pool: &PgPool) -> Result<Vec<FoundFunction>, sqlx::Error> {
    sqlx::query_as(
        "select p.proname::text as name, p.prosrc as body, coalesce(p.proconfig, '{}') as settings,
                p.prosecdef and l.lanname = 'plpgsql' and p.prorettype = 'trigger'::regtype as fitting,
                array(
                    select distinct case when a.grantee = 0 then 'public' else a.grantee::regrole::text end
                    from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                    where a.grantee <> p.proowner
                    order by 1
                ) as grantees
         from pg_proc p
         join pg_language l on l.oid = p.prolang
         where p.pronamespace = to_regnamespace('instant') and p.proname ^@ 'capture_' and p.pronargs = 0
         order by p.proname",
    )
    .fetch_all(pool)
    .await
}

/// Returns the triggers with one of our names, and those with any name that call a function of ours. PostgreSQL 14 marks the clones on
/// partitions as internal.
pub(super) async fn triggers(pool: &PgPool) -> Result<Vec<FoundTrigger>, sqlx::Error> {
    let rows: Vec<TriggerRow> = sqlx::query_as(
        "select t.tgname::text as name, n.nspname::text as schema, c.relname::text as table,
                above.schemas as ancestor_schemas, above.tables as ancestors,
                case when p.pronamespace = to_regnamespace('instant') and p.proname ^@ 'capture_' then p.proname::text end as function,
                t.tgtype as kind, t.tgenabled in ('O', 'A') as enabled,
                case when t.tgconstraint <> 0 then 'constraint'
                     when t.tgqual is not null or cardinality(t.tgattr::int2[]) > 0 or t.tgnargs > 0
                          or t.tgoldtable is not null or t.tgnewtable is not null then 'narrowed'
                     else 'plain' end as shape,
                t.tgparentid <> 0 as clone
         from pg_trigger t
         join pg_class c on c.oid = t.tgrelid
         join pg_namespace n on n.oid = c.relnamespace
         join pg_proc p on p.oid = t.tgfoid
         cross join lateral (
             select coalesce(array_agg(an.nspname::text order by ac.oid), '{}') as schemas,
                    coalesce(array_agg(ac.relname::text order by ac.oid), '{}') as tables
             from pg_partition_ancestors(c.oid) a
             join pg_class ac on ac.oid = a.relid
             join pg_namespace an on an.oid = ac.relnamespace
             where ac.oid <> c.oid
         ) as above
         where (not t.tgisinternal or t.tgparentid <> 0)
           and (t.tgname in ('!instant', '!instant_truncate')
                or p.pronamespace = to_regnamespace('instant') and p.proname ^@ 'capture_')
         order by 2, 3, 1",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| FoundTrigger {
            name: row.name,
            table: QualifiedName::new(row.schema, row.table),
            ancestors: row
                .ancestor_schemas
                .into_iter()
                .zip(row.ancestors)
                .map(|(schema, table)| QualifiedName::new(schema, table))
                .collect(),
            function: row.function,
            kind: row.kind,
            enabled: row.enabled,
            shape: match row.shape.as_str() {
                "constraint" => Shape::Constraint,
                "narrowed" => Shape::Narrowed,
                _ => Shape::Plain,
            },
            clone: row.clone,
        })
        .collect())
}

/// Returns the tables that have each watch's triggers: its own, and the tables that inherit from it. A table that inherits from several
/// belongs to the nearest watch, to the first of equally near ones, and to its own watch if it has one; partitions get their triggers
/// from PostgreSQL.
pub(super) async fn tables(pool: &PgPool, watches: &[Watch]) -> Result<Vec<Vec<QualifiedName>>, sqlx::Error> {
    let own: Vec<QualifiedName> = watches
        .iter()
        .map(|watch| QualifiedName::new(&watch.schema, &watch.table))
        .collect();
    let mut heirs = Vec::new();
    for (index, table) in own.iter().enumerate() {
        let descendants = catalog::descendants(pool, table).await?;
        heirs.extend(descendants.into_iter().map(|(heir, distance)| (distance, index, heir)));
    }
    heirs.sort();
    let mut tables: Vec<Vec<QualifiedName>> = own.iter().map(|table| vec![table.clone()]).collect();
    for (_, index, heir) in heirs {
        if !tables.iter().flatten().any(|table| *table == heir) {
            tables[index].push(heir);
        }
    }
    Ok(tables)
}
