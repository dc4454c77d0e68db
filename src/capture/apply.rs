//! Reads what the database has, and brings it to what a plan wants.

use std::fmt::Write;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};

use super::plan::{FoundFunction, FoundTrigger, Plan, State, Step};
use super::schema::{self, SchemaState};
use super::watch::Watch;
use crate::config::Config;

/// How long a statement waits for a table's lock: longer, and every query of the table would queue up behind it.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '2s'";
/// How often a statement that got no lock is tried again, and the pause between: a busy table has a quiet moment within minutes.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_secs(1);
/// `lock_not_available`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Why the database could not be brought to what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A newer binary has migrated the schema.
    #[error("the schema `instant` was made by a newer version: use that version of `instant`")]
    Newer,
    /// The migrations failed.
    #[error("the schema `instant` could not be migrated")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A table was busy all the time.
    #[error(
        "no lock after {ATTEMPTS} attempts: {action}; try again at a quieter time, or look for a long transaction on the table"
    )]
    Busy {
        /// The step that got no lock.
        action: String,
    },
    /// A step failed.
    #[error("{action}: {}", describe(.source))]
    Step {
        /// What was to be done.
        action: String,
        /// Why it was not.
        source: sqlx::Error,
    },
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

fn describe(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .map_or_else(|| error.to_string(), |server| server.message().to_owned())
}

/// What differs between the configuration and the database. Takes no lock.
///
/// # Errors
/// When the database does not answer, or a newer binary made its schema.
pub async fn plan(pool: &PgPool, config: &Config, watches: &[Watch]) -> Result<Plan, Error> {
    let state = state(pool, config, watches).await?;
    if state.schema == SchemaState::Newer {
        return Err(Error::Newer);
    }
    Ok(Plan::new(watches, &state))
}

/// Runs a plan, a step a transaction; `done` hears of each step and how long it took.
///
/// # Errors
/// The first step that failed; those before it are done, and another `apply` goes on.
pub async fn apply(pool: &PgPool, plan: &Plan, mut done: impl FnMut(&Step, Duration)) -> Result<(), Error> {
    for step in &plan.steps {
        let started = std::time::Instant::now();
        match &step.sql {
            None => schema::migrate(&mut *pool.acquire().await?).await?,
            Some(sql) => run(pool, &step.action, sql).await?,
        }
        done(step, started.elapsed());
    }
    Ok(())
}

/// Takes everything of Instant out of the database.
///
/// # Errors
/// The first step that failed; also when something that is not ours depends on the schema.
pub async fn remove(pool: &PgPool, config: &Config, mut done: impl FnMut(&Step, Duration)) -> Result<(), Error> {
    let state = state(pool, config, &[]).await?;
    apply(pool, &Plan::removal(&state), &mut done).await?;
    if state.schema == SchemaState::Missing {
        return Ok(());
    }
    // Without `cascade`: a view or the like that somebody built on the outbox makes this fail instead of going with it.
    let sql = "drop table instant.outbox, instant.relay, instant.dead_letter, instant._sqlx_migrations;
         drop sequence instant.lost;
         drop schema instant";
    let step = Step {
        action: "drop schema instant".to_owned(),
        reason: "removed",
        lock: "no lock on your tables",
        sql: Some(sql.to_owned()),
    };
    apply(pool, &Plan { steps: vec![step] }, done).await
}

/// The whole script for a DBA: what `apply` would run on a database without anything of Instant.
///
/// # Errors
/// When the database does not answer: the tables of each watch are looked up.
pub async fn script(pool: &PgPool, config: &Config, watches: &[Watch]) -> Result<String, Error> {
    let mut state = state(pool, config, watches).await?;
    (state.functions, state.triggers, state.schema) = (Vec::new(), Vec::new(), SchemaState::Current);
    state.missing_grants = config.database.relay_role.as_deref().map(grants).unwrap_or_default();
    let mut script =
        String::from("-- The schema of Instant. `instant apply` records these migrations in instant._sqlx_migrations.\n");
    for (description, text) in schema::texts() {
        // Writing to a String cannot fail.
        let _ = writeln!(script, "\n-- Migration: {description}.\n{}", text.trim_end());
    }
    for step in Plan::new(watches, &state).steps {
        let sql = step.sql.unwrap_or_default();
        let title = step.action.lines().next().unwrap_or_default();
        let _ = writeln!(script, "\n-- {title}: {}.\n{sql};", step.lock);
    }
    Ok(script)
}

/// Runs one step in a transaction of its own, again and again while its table is busy.
async fn run(pool: &PgPool, action: &str, sql: &str) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let mut transaction = pool.begin().await?;
        sqlx::raw_sql(LOCK_TIMEOUT).execute(&mut *transaction).await?;
        // The text is generated, and its names are quoted.
        match sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await {
            Ok(_) => return Ok(transaction.commit().await?),
            Err(error)
                if error
                    .as_database_error()
                    .and_then(sqlx::error::DatabaseError::code)
                    .as_deref()
                    == Some(LOCK_NOT_AVAILABLE) =>
            {
                transaction.rollback().await?;
                tokio::time::sleep(PAUSE.mul_f64(0.5 + fastrand::f64())).await;
            }
            Err(source) => {
                return Err(Error::Step {
                    action: action.to_owned(),
                    source,
                });
            }
        }
    }
    Err(Error::Busy {
        action: action.to_owned(),
    })
}

/// What the database has. Takes no lock.
async fn state(pool: &PgPool, config: &Config, watches: &[Watch]) -> Result<State, sqlx::Error> {
    let schema = schema::state(pool).await?;
    let mut tables = Vec::new();
    for watch in watches {
        tables.push((watch.source.clone(), watched_tables(pool, watch, watches).await?));
    }
    let missing_grants = match &config.database.relay_role {
        Some(role) if schema != SchemaState::Missing => missing_grants(pool, role).await?,
        Some(role) => grants(role),
        None => Vec::new(),
    };
    Ok(State {
        schema,
        functions: functions(pool).await?,
        triggers: triggers(pool).await?,
        tables,
        missing_grants,
    })
}

/// Our functions. Takes no lock.
async fn functions(pool: &PgPool) -> Result<Vec<FoundFunction>, sqlx::Error> {
    sqlx::query_as(
        "select proname::text as name, prosrc as body, coalesce(proconfig, '{}') as settings, prosecdef as security_definer,
                exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0) as public
         from pg_proc
         where pronamespace = to_regnamespace('instant') and proname ^@ 'capture_'
         order by proname",
    )
    .fetch_all(pool)
    .await
}

/// Our triggers on any table, without the clones that PostgreSQL makes on partitions. Takes no lock.
async fn triggers(pool: &PgPool) -> Result<Vec<FoundTrigger>, sqlx::Error> {
    sqlx::query_as(
        "select tgname::text as name, format('%I.%I', nspname, relname) as table,
                case when pronamespace = to_regnamespace('instant') then proname::text end as function,
                tgtype as kind, tgenabled in ('O', 'A') as enabled,
                tgqual is not null or cardinality(tgattr::int2[]) > 0 as conditional
         from pg_trigger
         join pg_class on pg_class.oid = tgrelid
         join pg_namespace on pg_namespace.oid = relnamespace
         join pg_proc on pg_proc.oid = tgfoid
         where tgname in ('!instant', '!instant_truncate') and not tgisinternal and tgparentid = 0
         order by 2, 1",
    )
    .fetch_all(pool)
    .await
}

/// The tables that a watch's triggers stand on: its own, and those that inherit from it and have no watch themselves; rows of a
/// partition fire the trigger of its root. Takes no lock.
async fn watched_tables(pool: &PgPool, watch: &Watch, watches: &[Watch]) -> Result<Vec<String>, sqlx::Error> {
    let others: Vec<String> = watches
        .iter()
        .filter(|other| other.source != watch.source)
        .map(|other| other.source.clone())
        .collect();
    sqlx::query_scalar(
        "with recursive family (oid) as (
             select format('%I.%I', $1::text, $2::text)::regclass::oid
             union
             select inhrelid from family
             join pg_inherits on inhparent = family.oid
             join pg_class on pg_class.oid = inhrelid and not relispartition
         )
         select format('%I.%I', nspname, relname)
         from family
         join pg_class on pg_class.oid = family.oid
         join pg_namespace on pg_namespace.oid = relnamespace
         where nspname || '.' || relname <> all ($3)
         order by 1",
    )
    .bind(&watch.schema)
    .bind(&watch.table)
    .bind(others)
    .fetch_all(pool)
    .await
}

/// What the relay's role needs: nothing on the tables of the project.
fn grants(role: &str) -> Vec<String> {
    RIGHTS
        .iter()
        .map(|(_, right, on)| format!("grant {right} on {on} to {}", super::trigger::identifier(role)))
        .collect()
}

/// The rights of the relay's role: the function that tells them, the right, the object.
const RIGHTS: [(&str, &str, &str); 6] = [
    ("schema", "usage", "schema instant"),
    ("table", "select, delete", "instant.outbox"),
    ("table", "select, update", "instant.relay"),
    ("table", "select, insert, update, delete", "instant.dead_letter"),
    ("table", "select", "instant._sqlx_migrations"),
    ("sequence", "select", "sequence instant.lost"),
];

/// The grants that the relay's role lacks. Takes no lock.
async fn missing_grants(pool: &PgPool, role: &str) -> Result<Vec<String>, sqlx::Error> {
    let mut missing = Vec::new();
    for ((kind, right, on), grant) in RIGHTS.iter().zip(grants(role)) {
        let object = on.rsplit(' ').next().unwrap_or(on);
        for right in right.split(", ") {
            let statement = format!("select has_{kind}_privilege($1, $2, $3)");
            let held: bool = sqlx::query_scalar(AssertSqlSafe(statement))
                .bind(role)
                .bind(object)
                .bind(right)
                .fetch_one(pool)
                .await?;
            if !held && !missing.contains(&grant) {
                missing.push(grant.clone());
            }
        }
    }
    Ok(missing)
}
