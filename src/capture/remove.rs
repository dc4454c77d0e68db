//! Removes everything of ours from the database.

use sqlx::{PgConnection, PgPool};

use super::apply::{Progress, run_all};
use super::error::Error;
use super::identity::{self, Definers};
use super::installed::{self, State};
use super::plan::{NO_LOCK, Plan, Step};
use super::schema::{FUNCTIONS, SEQUENCES, SchemaState, TABLES};
use super::watch::Watch;
use super::{grant, lock};
use crate::config::Config;

/// Removes the triggers, one transaction each, then the functions, the relay's role's rights on the columns that `watches` read of
/// other tables, and the schema. It refuses, before anything is removed, if objects that are not ours depend on the schema.
///
/// # Errors
/// When objects that are not ours depend on the schema, or a step fails; the steps before it are done, and another `remove` continues.
pub async fn remove(
    pool: &PgPool,
    config: &Config,
    watches: &[Watch],
    progress: impl FnMut(&Step, Progress),
) -> Result<(), Error> {
    let exists: bool = sqlx::query_scalar("select to_regnamespace('instant') is not null")
        .fetch_one(pool)
        .await?;
    if !exists {
        return Ok(());
    }
    let strangers = strangers(pool).await?;
    if !strangers.is_empty() {
        return Err(Error::Needed(strangers));
    }
    let revocations = match &config.database.relay_role {
        Some(role) => grant::project::revocations(pool, &role.value, watches).await?,
        None => Vec::new(),
    };
    lock::hold(pool, async |connection| {
        remove_all(connection, pool, revocations, progress).await
    })
    .await
}

/// Removes everything, on the connection that holds the lock.
async fn remove_all(
    connection: &mut PgConnection,
    pool: &PgPool,
    revocations: Vec<String>,
    progress: impl FnMut(&Step, Progress),
) -> Result<(), Error> {
    let state = State {
        schema: SchemaState::Current,
        functions: installed::functions(pool).await?,
        triggers: installed::triggers(pool).await?,
        tables: Vec::new(),
        missing_grants: Vec::new(),
        definers: Definers {
            wanted: Vec::new(),
            found: identity::found::found(pool).await?,
        },
    };
    let mut plan = Plan::removal(&state);
    let revoke = |sql: String| Step::new(sql.clone(), "removed", NO_LOCK, sql);
    plan.steps.extend(revocations.into_iter().map(revoke));
    plan.steps
        .push(Step::new("drop schema instant", "removed", NO_LOCK, drop_schema()));
    run_all(connection, &plan, progress).await
}

/// Returns the statements that drop the schema and what the migrations made in it. Never `cascade`: they fail, instead of dropping what
/// others have built on it in the meantime.
fn drop_schema() -> String {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("instant.{name}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    format!(
        "drop function if exists {};\ndrop table if exists {};\ndrop sequence if exists {};\ndrop schema instant",
        FUNCTIONS.join(", "),
        names(&TABLES),
        names(&SEQUENCES)
    )
}

/// Returns the objects that are not ours and would be dropped with the schema: those in it that no migration made, and those elsewhere
/// that depend on those in it. Takes no lock.
async fn strangers(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "with recursive inside (classid, objid, ours) as (
             select 'pg_class'::regclass::oid, c.oid, c.relname = any ($1)
             from pg_class c
             where c.relnamespace = 'instant'::regnamespace
             union all
             select 'pg_proc'::regclass::oid, p.oid, p.proname ^@ 'capture_' or p.proname = any ($2)
                 or exists (select from unnest($3::text[]) as name where to_regprocedure(name)::oid = p.oid)
             from pg_proc p
             where p.pronamespace = 'instant'::regnamespace
             union all
             select 'pg_type'::regclass::oid, t.oid, t.typrelid <> 0 or t.typelem <> 0
             from pg_type t
             where t.typnamespace = 'instant'::regnamespace
         ),
         parts (classid, objid) as (
             -- What belongs to one of our objects: indexes, constraints, defaults, sequences of columns, row and array types.
             select classid, objid from inside where ours
             union
             select d.classid, d.objid
             from parts p
             join pg_depend d on d.refclassid = p.classid and d.refobjid = p.objid
             where d.deptype in ('i', 'a')
               and not (d.classid = 'pg_constraint'::regclass
                        and exists (select from pg_constraint c where c.oid = d.objid and c.conrelid <> p.objid))
         )
         select distinct name
         from (
             select pg_describe_object(i.classid, i.objid, 0) as name
             from inside i
             where not i.ours and (i.classid, i.objid) not in (select classid, objid from parts)
             union all
             select pg_describe_object(d.classid, d.objid, d.objsubid)
             from parts p
             join pg_depend d on d.refclassid = p.classid and d.refobjid = p.objid
             where d.deptype = 'n'
               and (d.classid, d.objid) not in (select classid, objid from parts)
               and not exists (select from pg_trigger t join pg_proc f on f.oid = t.tgfoid
                               where d.classid = 'pg_trigger'::regclass and t.oid = d.objid
                                 and f.pronamespace = 'instant'::regnamespace and f.proname ^@ 'capture_')
         ) as strangers
         order by name",
    )
    .bind(
        TABLES
            .iter()
            .chain(&SEQUENCES)
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
    )
    .bind(identity::NAMES)
    .bind(FUNCTIONS.map(str::to_owned).to_vec())
    .fetch_all(pool)
    .await
}
