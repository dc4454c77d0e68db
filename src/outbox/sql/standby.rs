//! Statements between a leader and its standbys. None takes a lock.

use jiff::Timestamp;
use tokio_postgres::{Client, Error};

use crate::capture::DOZE_LOCK;
use crate::outbox::{LEADER_LOCK, STANDBY_CHANNEL};

/// The condition that the row `held` of `pg_locks` is an advisory lock of this database with the key `key`, whose 64 bits PostgreSQL
/// shows in two halves.
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

/// Answers a call as the leader: all that matters is that its session was active.
pub(in crate::outbox) async fn answer(client: &Client) -> Result<(), Error> {
    client.batch_execute("select").await
}

/// When the last leader's term began. A leader that has just got the lock appears a moment later.
pub(in crate::outbox) async fn led_since(client: &Client) -> Result<Option<Timestamp>, Error> {
    client
        .query_one("select led_since from instant.relay where name = 'main'", &[])
        .await?
        .try_get(0)
}

/// Calls the leader, and returns which process holds its lock and when that was last active; `None` if there is no leader, or if this
/// role may not see the leader's session.
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

/// Ends the sessions of a leader that is gone: the one at `process`, if it still holds the leader's lock, since a process id may be
/// reused; and the reader that may have fallen asleep, since otherwise no other relay could.
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
