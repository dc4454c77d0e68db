//! Plans and applies the schema and the triggers, one transaction per step, without making a table's queries queue up for long.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use super::error::Error;
use super::identity::found::Tables;
use super::identity::{self, Definers};
use super::installed::{self, State};
use super::plan::{Plan, Step};
use super::schema::{self, SchemaState};
use super::trigger::function_name;
use super::watch::Watch;
use super::{grant, lock};
use crate::config::Config;

/// The limit on a statement's wait for a table's lock: with a longer one, every query of the table would queue up behind it.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '2s'";
/// Attempts of a step whose table is busy: a busy table has a quiet moment within a minute.
pub(super) const ATTEMPTS: u32 = 20;
/// The mean pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// `lock_not_available` and `deadlock_detected`: the table is busy.
const BUSY: [&str; 2] = ["55P03", "40P01"];

/// The progress of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Its table was busy; it is retried after a pause.
    Waiting {
        /// The attempts so far, none of which got the lock.
        attempts: u32,
    },
    /// It is done; the time since its first attempt.
    Done(Duration),
}

/// Compares the configuration with the database. Takes no lock.
///
/// # Errors
/// When the database does not answer, its schema is of a newer binary or was restored without its rows, or the relay's role or a table
/// that `[django]` needs is missing.
pub async fn plan(pool: &PgPool, config: &Config, watches: &[Watch]) -> Result<Plan, Error> {
    let schema = schema::state(pool).await?;
    match schema {
        SchemaState::Newer => return Err(Error::Newer),
        SchemaState::WithoutRows => return Err(Error::WithoutRows),
        SchemaState::Missing | SchemaState::Older | SchemaState::Current => {}
    }
    let functions = installed::functions(pool).await?;
    let role = relay_role(pool, config).await?;
    let django = Tables::find(pool, config).await?;
    let mut missing_grants = Vec::new();
    if let Some(role) = role {
        let missing = grant::missing(pool, role, &grant::RELAY).await?;
        missing_grants.extend(missing.into_iter().map(|grant| (grant, "the relay's role lacks it")));
        missing_grants.extend(grant::project::missing(pool, role, watches, &django).await?);
    }
    if schema != SchemaState::Missing {
        let complete = watches.iter().all(|watch| {
            functions
                .iter()
                .any(|found| found.name == function_name(&watch.schema, &watch.table))
        });
        for role in definers(pool, complete).await? {
            let missing = grant::missing(pool, &role, &grant::DEFINER).await?;
            missing_grants.extend(missing.into_iter().map(|grant| (grant, "the triggers write as this role")));
        }
    }
    for role in grant::senders(pool, watches, schema == SchemaState::Current).await? {
        for grant in grant::missing(pool, &role, &grant::SENDER).await? {
            if missing_grants.iter().all(|(known, _)| *known != grant) {
                missing_grants.push((grant, "this role owns a watched table and may send messages by hand"));
            }
        }
    }
    let state = State {
        schema,
        functions,
        triggers: installed::triggers(pool).await?,
        tables: installed::tables(pool, watches).await?,
        missing_grants,
        definers: Definers {
            wanted: django.definers(config),
            found: identity::found::found(pool).await?,
        },
    };
    Ok(Plan::new(watches, &state))
}

/// The result of [`apply`].
#[derive(Debug)]
pub struct Applied {
    /// The steps that were run.
    pub done: Plan,
    /// The steps that would end a pause, which are left to `resume`.
    pub paused: Plan,
}

/// Changes the database to match the configuration, one transaction per step, and calls `progress` for each step. Concurrent calls run
/// one after the other, and each makes its plan when its turn comes: by then steps may be done already, or capture may be paused.
///
/// # Errors
/// As for [`plan`], and when another `apply` or `remove` does not end in time or a step fails; the steps before it are done, and
/// another `apply` continues.
pub async fn apply(
    pool: &PgPool,
    config: &Config,
    watches: &[Watch],
    progress: impl FnMut(&Step, Progress),
) -> Result<Applied, Error> {
    lock::hold(pool, async |connection| {
        let (paused, done) = plan(pool, config, watches).await?.split_paused();
        run_all(connection, &done, progress).await?;
        Ok(Applied { done, paused })
    })
    .await
}

/// Runs all steps of `plan`.
pub(super) async fn run_all(
    connection: &mut PgConnection,
    plan: &Plan,
    mut progress: impl FnMut(&Step, Progress),
) -> Result<(), Error> {
    for step in &plan.steps {
        let started = Instant::now();
        match &step.sql {
            None => schema::migrate(connection).await?,
            Some(sql) => {
                run(connection, step, sql, |attempts| {
                    progress(step, Progress::Waiting { attempts });
                })
                .await?;
            }
        }
        progress(step, Progress::Done(started.elapsed()));
    }
    Ok(())
}

/// Runs a step in a transaction of its own, and retries it while its table is busy.
async fn run(connection: &mut PgConnection, step: &Step, sql: &str, mut waiting: impl FnMut(u32)) -> Result<(), Error> {
    for attempt in 1..=ATTEMPTS {
        let failure = |source| Error::Step {
            action: step.action.clone(),
            source,
        };
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(LOCK_TIMEOUT).execute(&mut *transaction).await?;
        // The text is generated, and its names are quoted.
        match sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await {
            Ok(_) => return transaction.commit().await.map_err(failure),
            Err(error) if is_busy(&error) => {
                transaction.rollback().await?;
                waiting(attempt);
                tokio::time::sleep(PAUSE.mul_f64(0.5 + fastrand::f64())).await;
            }
            Err(source) => return Err(failure(source)),
        }
    }
    Err(Error::Busy {
        action: step.action.clone(),
        locked: if step.counts_loss {
            "the table or on the sequence `instant.lost`"
        } else {
            "the table"
        },
    })
}

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| BUSY.contains(&code.as_ref()))
}

/// Returns the relay's role, if `config` names one. Takes no lock.
///
/// # Errors
/// When the role does not exist.
pub(super) async fn relay_role<'a>(pool: &PgPool, config: &'a Config) -> Result<Option<&'a str>, Error> {
    let Some(role) = &config.database.relay_role else {
        return Ok(None);
    };
    let exists: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
        .bind(&role.value)
        .fetch_one(pool)
        .await?;
    if !exists {
        return Err(Error::NoRole(role.value.clone()));
    }
    Ok(Some(&role.value))
}

/// Returns the roles that the trigger functions write as: the owners of the installed ones and, unless they are `complete`, the current
/// user. The relay's role may be that user, and has no right to write.
async fn definers(pool: &PgPool, complete: bool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select r.rolname::text
         from pg_proc p
         join pg_roles r on r.oid = p.proowner
         where p.pronamespace = to_regnamespace('instant') and p.proname ^@ 'capture_'
         union
         select current_user::text where not $1
         order by 1",
    )
    .bind(complete)
    .fetch_all(pool)
    .await
}
