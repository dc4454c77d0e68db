//! Statements between a leader and its standbys. None takes a lock.

use jiff::Timestamp;
use tokio_postgres::{Client, Error};

use crate::outbox::{LEADER_LOCK, STANDBY_CHANNEL};

/// Subscribes the leader to the calls of its standbys.
pub(in crate::outbox) async fn listen(client: &Client) -> Result<(), Error> {
    client.batch_execute(&format!("listen {STANDBY_CHANNEL}")).await
}

/// The leader's answer to a call: what matters is that its session was active.
pub(in crate::outbox) async fn answer(client: &Client) -> Result<(), Error> {
    client.batch_execute("select").await
}

/// Calls the leader, and tells which process holds its lock and when that was last active. None when there is no leader, or when
/// this role may not see the leader's.
pub(in crate::outbox) async fn call(client: &Client) -> Result<Option<(i32, Timestamp)>, Error> {
    let row = client
        .query_opt(
            "select activity.pid, activity.state_change
             from (select pg_notify($2, '')) as call,
                  pg_locks as lock
                  join pg_stat_activity as activity on activity.pid = lock.pid
             where lock.locktype = 'advisory' and lock.granted and lock.objsubid = 1
               and lock.database = (select oid from pg_database where datname = current_database())
               and lock.classid::bigint = $1::bigint >> 32 and lock.objid::bigint = $1::bigint & 4294967295
               and activity.state_change is not null",
            &[&LEADER_LOCK, &STANDBY_CHANNEL],
        )
        .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Ends the session of a leader that is gone, if it holds the leader's lock still: a process id may be used again.
pub(in crate::outbox) async fn end(client: &Client, process: i32) -> Result<(), Error> {
    client
        .execute(
            "select pg_terminate_backend(pid)
             from pg_locks
             where pid = $2 and locktype = 'advisory' and granted and objsubid = 1
               and database = (select oid from pg_database where datname = current_database())
               and classid::bigint = $1::bigint >> 32 and objid::bigint = $1::bigint & 4294967295",
            &[&LEADER_LOCK, &process],
        )
        .await
        .map(drop)
}
