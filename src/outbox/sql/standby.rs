//! Statements between a leader and its standbys. None takes a lock.

use jiff::Timestamp;
use tokio_postgres::{Client, Error};

use crate::capture::DOZE_LOCK;
use crate::outbox::{LEADER_LOCK, STANDBY_CHANNEL};

/// Whether the row `held` of `pg_locks` is an advisory lock of this database with the key `key`, of which PostgreSQL shows the 64 bits in
/// two halves.
pub(super) fn is_held(key: i64) -> String {
    format!(
        "held.locktype = 'advisory' and held.granted and held.objsubid = 1
         and held.database = (select oid from pg_database where datname = current_database())
         and held.classid = ({key}::bigint >> 32)::oid and held.objid = ({key}::bigint & 4294967295)::oid"
    )
}

/// Subscribes the leader to the calls of its standbys.
pub(in crate::outbox) async fn listen(client: &Client) -> Result<(), Error> {
    client.batch_execute(&format!("listen {STANDBY_CHANNEL}")).await
}

/// The leader's answer to a call: what matters is that its session was active.
pub(in crate::outbox) async fn answer(client: &Client) -> Result<(), Error> {
    client.batch_execute("select").await
}

/// Since when the last leader has led. One that has just got the lock is told a moment later.
pub(in crate::outbox) async fn led_since(client: &Client) -> Result<Option<Timestamp>, Error> {
    client
        .query_one("select led_since from instant.relay where name = 'main'", &[])
        .await?
        .try_get(0)
}

/// Calls the leader, and tells which process holds its lock and when that was last active. None when there is no leader, or when
/// this role may not see the leader's.
pub(in crate::outbox) async fn call(client: &Client) -> Result<Option<(i32, Timestamp)>, Error> {
    let statement = format!(
        "select session.pid, session.state_change
         from (select pg_notify($1, '')) as call,
              pg_locks as held
              join pg_stat_activity as session on session.pid = held.pid
         where {} and session.state_change is not null",
        is_held(LEADER_LOCK)
    );
    let row = client.query_opt(&statement, &[&STANDBY_CHANNEL]).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Ends the sessions of a leader that is gone: the one that holds the leader's lock still, since a process id may be used again, and the
/// one that may have fallen asleep, or no other relay could.
pub(in crate::outbox) async fn end(client: &Client, process: i32) -> Result<(), Error> {
    let statement = format!(
        "select pg_terminate_backend(held.pid)
         from pg_locks as held join pg_stat_activity as session on session.pid = held.pid
         where held.pid = $1 and {}
            or session.application_name = 'instant reader' and held.mode = 'ExclusiveLock' and {}",
        is_held(LEADER_LOCK),
        is_held(DOZE_LOCK)
    );
    client.execute(&statement, &[&process]).await.map(drop)
}
