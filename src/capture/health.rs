//! Conditions in PostgreSQL that keep triggers from firing or the relay from keeping up. Reads only PostgreSQL's own views; takes no lock.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{FromRow, PgPool};

/// The conditions that were found.
#[derive(Clone, Debug)]
pub struct Health {
    /// Roles and databases whose sessions skip ordinary triggers.
    pub without_triggers: Vec<Setting>,
    /// Sessions that hold back vacuum.
    pub old_snapshots: Vec<OldSnapshot>,
    /// Prepared transactions that nobody has ended.
    pub prepared: Vec<Prepared>,
    /// The fill level of the notification queue, from 0 to 1.
    pub notify_queue: f64,
    /// The server's clock.
    pub clock: Timestamp,
}

/// A setting of `session_replication_role` that switches triggers off.
#[derive(Clone, Debug, FromRow)]
pub struct Setting {
    /// Its scope: `role app`, `database shop`, or both; `every role`; or `the server`.
    pub place: String,
    /// The statement that resets it.
    pub fix: String,
}

/// A session with an old snapshot or transaction.
#[derive(Clone, Debug, FromRow)]
pub struct OldSnapshot {
    /// Its process ID.
    pub pid: i32,
    /// Its application name, or else its backend type.
    pub application: String,
    /// `active`, `idle in transaction`, ….
    pub state: String,
    /// Seconds since its transaction began.
    pub age: f64,
}

/// A prepared transaction.
#[derive(Clone, Debug, FromRow)]
pub struct Prepared {
    /// Its name, quoted.
    pub name: String,
    /// Seconds since it was prepared.
    pub age: f64,
}

/// Checks PostgreSQL; sessions and prepared transactions count once they are older than `old`.
///
/// # Errors
/// When the database does not answer.
pub async fn health(pool: &PgPool, old: Duration) -> Result<Health, sqlx::Error> {
    let (notify_queue, clock): (f64, f64) =
        sqlx::query_as("select pg_notification_queue_usage(), extract(epoch from clock_timestamp())::double precision")
            .fetch_one(pool)
            .await?;
    let clock = jiff::SignedDuration::try_from_secs_f64(clock).and_then(Timestamp::from_duration);
    Ok(Health {
        without_triggers: without_triggers(pool).await?,
        old_snapshots: old_snapshots(pool, old).await?,
        prepared: prepared(pool, old).await?,
        notify_queue,
        clock: clock.unwrap_or(Timestamp::UNIX_EPOCH),
    })
}

/// Returns the settings of `session_replication_role` with which ordinary triggers do not fire.
async fn without_triggers(pool: &PgPool) -> Result<Vec<Setting>, sqlx::Error> {
    sqlx::query_as(
        "select coalesce(nullif(concat_ws(' in ', 'role ' || r.rolname, 'database ' || d.datname), ''), 'every role') as place,
                case when coalesce(r.oid, d.oid) is null then 'alter role all reset session_replication_role'
                     when r.rolname is null then format('alter database %I reset session_replication_role', d.datname)
                     when d.datname is null then format('alter role %I reset session_replication_role', r.rolname)
                     else format('alter role %I in database %I reset session_replication_role', r.rolname, d.datname) end as fix
         from pg_db_role_setting s
         left join pg_roles r on r.oid = s.setrole
         left join pg_database d on d.oid = s.setdatabase
         where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
           and 'session_replication_role=replica' = any (s.setconfig)
         union all
         select 'the server', 'alter system reset session_replication_role; select pg_reload_conf()'
         from pg_settings
         where name = 'session_replication_role' and setting = 'replica'
           and source in ('configuration file', 'command line', 'environment variable')
         order by 1",
    )
    .fetch_all(pool)
    .await
}

/// Returns the sessions whose transaction is old: no row version newer than their snapshot is cleaned up, in any table of the cluster.
async fn old_snapshots(pool: &PgPool, old: Duration) -> Result<Vec<OldSnapshot>, sqlx::Error> {
    sqlx::query_as(
        "select pid, coalesce(nullif(application_name, ''), backend_type, '?') as application, coalesce(state, '?') as state,
                extract(epoch from clock_timestamp() - xact_start)::double precision as age
         from pg_stat_activity
         where (backend_xmin is not null or backend_xid is not null)
           and xact_start < clock_timestamp() - make_interval(secs => $1)
           and pid <> pg_backend_pid()
         order by xact_start",
    )
    .bind(old.as_secs_f64())
    .fetch_all(pool)
    .await
}

/// Returns the old prepared transactions of this database.
async fn prepared(pool: &PgPool, old: Duration) -> Result<Vec<Prepared>, sqlx::Error> {
    sqlx::query_as(
        "select quote_literal(gid) as name, extract(epoch from clock_timestamp() - prepared)::double precision as age
         from pg_prepared_xacts
         where database = current_database() and prepared < clock_timestamp() - make_interval(secs => $1)
         order by prepared",
    )
    .bind(old.as_secs_f64())
    .fetch_all(pool)
    .await
}
