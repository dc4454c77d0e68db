//! Statements between a leader and its standbys. None takes a lock.

use jiff::Timestamp;
use tokio_postgres::{Client, Error};

use crate::outbox::{LEADER_LOCK, STANDBY_CHANNEL};

/// Whether the row `held` of `pg_locks` is the leader's lock, whose key is `$1`: PostgreSQL shows its 64 bits in two halves.
pub(super) const LEADS: &str = "held.locktype = 'advisory' and held.granted and held.objsubid = 1
    and held.database = (select oid from pg_database where datname = current_database())
    and held.classid = ($1::bigint >> 32)::oid and held.objid = ($1::bigint & 4294967295)::oid";

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
    let statement = format!(
        "select session.pid, session.state_change
         from (select pg_notify($2, '')) as call,
              pg_locks as held
              join pg_stat_activity as session on session.pid = held.pid
         where {LEADS} and session.state_change is not null"
    );
    let row = client.query_opt(&statement, &[&LEADER_LOCK, &STANDBY_CHANNEL]).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Ends the session of a leader that is gone, if it holds the leader's lock still: a process id may be used again.
pub(in crate::outbox) async fn end(client: &Client, process: i32) -> Result<(), Error> {
    let statement = format!("select pg_terminate_backend(held.pid) from pg_locks as held where held.pid = $2 and {LEADS}");
    client.execute(&statement, &[&LEADER_LOCK, &process]).await.map(drop)
}
