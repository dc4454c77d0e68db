//! The rights of the relay's role on the project: to find its tables by their names, and to read the columns that `related` names.

use std::collections::BTreeSet;

use sqlx::PgPool;

use crate::capture::identifier::{QualifiedName, identifier};
use crate::capture::identity::found::Tables;
use crate::capture::watch::Watch;

/// The reason for a grant on a schema.
const FOUND: &str = "the relay's role may not use this schema, so that it finds no table in it";
/// The reason for a grant on columns.
const RELATED: &str = "`related` names these columns, and the relay's role may not read them";

/// Returns the grants that `role` lacks, as statements with their reasons: schemas first, then the columns that lookups read. Takes no
/// lock.
pub(in crate::capture) async fn missing(
    pool: &PgPool,
    role: &str,
    watches: &[Watch],
    django: &Tables,
) -> Result<Vec<(String, &'static str)>, sqlx::Error> {
    let column_grants = column_grants(watches);
    let captured = watches.iter().map(|watch| watch.schema.as_str());
    let read = column_grants.iter().map(|grant| grant.table.schema.as_str());
    let schemas = closed(pool, role, captured.chain(read).chain(django.schemas()).collect()).await?;
    let schemas = schemas.into_iter().map(|schema| {
        let grant = format!("grant usage on schema {} to {}", identifier(&schema), identifier(role));
        (grant, FOUND)
    });
    let mut missing: Vec<_> = schemas.collect();
    for grant in column_grants {
        if !grant.is_held(pool, role).await? {
            missing.push((grant.statement(role), RELATED));
        }
    }
    Ok(missing)
}

/// Returns those of `schemas` that `role` may not use, by name; a role that does not exist yet may use what everybody may. Takes no lock.
async fn closed(pool: &PgPool, role: &str, schemas: BTreeSet<&str>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select n.nspname::text
         from pg_namespace n
         where n.nspname = any ($2::text[])
           and not has_schema_privilege(coalesce((select oid from pg_roles where rolname = $1::text), 0::oid), n.oid, 'usage')
         order by 1",
    )
    .bind(role)
    .bind(schemas.into_iter().collect::<Vec<_>>())
    .fetch_all(pool)
    .await
}

/// Returns the statements that revoke the columns from `role`, if they were granted column by column. The right to use a schema stays:
/// reading its other tables may need it. Takes no lock.
pub(in crate::capture) async fn revocations(pool: &PgPool, role: &str, watches: &[Watch]) -> Result<Vec<String>, sqlx::Error> {
    let mut revocations = Vec::new();
    for ColumnGrant { table, columns } in column_grants(watches) {
        let held: Vec<String> = sqlx::query_scalar(
            "select distinct a.attname::text
             from pg_class c
             join pg_namespace n on n.oid = c.relnamespace
             join pg_attribute a on a.attrelid = c.oid and a.attname = any ($4::text[])
             cross join aclexplode(a.attacl) as held
             join pg_roles r on r.oid = held.grantee
             where n.nspname = $2::text and c.relname = $3::text and r.rolname = $1::text and held.privilege_type = 'SELECT'
             order by 1",
        )
        .bind(role)
        .bind(&table.schema)
        .bind(&table.name)
        .bind(&columns)
        .fetch_all(pool)
        .await?;
        if !held.is_empty() {
            let columns: Vec<String> = held.iter().map(|column| identifier(column)).collect();
            let (columns, role) = (columns.join(", "), identifier(role));
            revocations.push(format!("revoke select ({columns}) on {} from {role}", table.sql()));
        }
    }
    Ok(revocations)
}

/// The columns of a table that lookups read.
struct ColumnGrant {
    table: QualifiedName,
    columns: Vec<String>,
}

impl ColumnGrant {
    /// Returns the statement that lets `role` read them and nothing else. It takes no lock on the table.
    fn statement(&self, role: &str) -> String {
        let columns: Vec<String> = self.columns.iter().map(|column| identifier(column)).collect();
        format!(
            "grant select ({}) on {} to {}",
            columns.join(", "),
            self.table.sql(),
            identifier(role)
        )
    }

    /// Returns whether `role` may read them. Takes no lock.
    async fn is_held(&self, pool: &PgPool, role: &str) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(
            "select coalesce(bool_and(has_column_privilege(r.oid, c.oid, name, 'select')), false)
             from unnest($4::text[]) as name
             join pg_namespace n on n.nspname = $2::text
             join pg_class c on c.relnamespace = n.oid and c.relname = $3::text
             join pg_roles r on r.rolname = $1::text",
        )
        .bind(role)
        .bind(&self.table.schema)
        .bind(&self.table.name)
        .bind(&self.columns)
        .fetch_one(pool)
        .await
    }
}

/// Returns the columns that all lookups of `watches` read, each table once.
fn column_grants(watches: &[Watch]) -> Vec<ColumnGrant> {
    let mut grants: Vec<ColumnGrant> = Vec::new();
    for lookup in watches
        .iter()
        .flat_map(|watch| &watch.related)
        .map(|relation| &relation.lookup)
    {
        let table = QualifiedName::new(&lookup.schema, &lookup.table);
        let known = grants.iter().position(|grant| grant.table == table);
        let index = known.unwrap_or_else(|| {
            grants.push(ColumnGrant {
                table,
                columns: Vec::new(),
            });
            grants.len() - 1
        });
        let columns = &mut grants[index].columns;
        for column in [&lookup.key].into_iter().chain(&lookup.columns) {
            if !columns.contains(&column.name) {
                columns.push(column.name.clone());
            }
        }
    }
    grants
}
