//! Statements of `instant status`. Each reads a bounded number of rows, by the index.

use tokio_postgres::{Client, Error, Row};

use super::standby::is_held;
use crate::outbox::LEADER_LOCK;

/// The session that holds the leader's lock.
pub(in crate::outbox) async fn leader(client: &Client) -> Result<Option<Row>, Error> {
    let statement = format!(
        "select held.pid, relay.led_since, host(session.client_addr), relay.updated_at
         from pg_locks as held
         left join pg_stat_activity as session on session.pid = held.pid,
         instant.relay as relay
         where {} and relay.name = 'main'",
        is_held(LEADER_LOCK)
    );
    client.query_opt(&statement, &[]).await
}

/// The number of changes after the cursor, counted up to `limit`, and the age in seconds of the oldest of them.
pub(in crate::outbox) async fn backlog(client: &Client, limit: i64) -> Result<Row, Error> {
    let statement = "with unsettled as (
             (select xid, id, at from instant.outbox
              where xid = any (array(select pg_snapshot_xip(snapshot) from instant.relay where name = 'main'))
              order by xid, id
              limit $1)
             union all
             (select xid, id, at from instant.outbox
              where xid >= (select pg_snapshot_xmax(snapshot) from instant.relay where name = 'main')
              order by xid, id
              limit $1)
         )
         select count(*),
                coalesce(greatest(extract(epoch from clock_timestamp() - min(change.at)), 0), 0)::double precision
         from unsettled as change, instant.relay as relay
         where relay.name = 'main'
           and not coalesce(change.id <= relay.after and pg_visible_in_snapshot(change.xid, relay.until), false)";
    client.query_one(statement, &[&limit]).await
}

/// The outbox's bytes on disk, and PostgreSQL's estimate of its rows.
pub(in crate::outbox) async fn size(client: &Client) -> Result<Row, Error> {
    let statement = "select pg_total_relation_size('instant.outbox'),
                nullif(greatest(pg_stat_get_live_tuples('instant.outbox'::regclass), 0), 0)";
    client.query_one(statement, &[]).await
}

/// Changes per second over the last minute, or over the latest 10,000 if these are younger.
pub(in crate::outbox) async fn rate(client: &Client) -> Result<f64, Error> {
    let statement = "select (count(*) / case
                when count(*) < 10000 then 60
                else greatest(extract(epoch from clock_timestamp() - min(at)), 0.001) end)::double precision
         from (select at from instant.outbox order by xid desc, id desc limit 10000) as latest
         where at > clock_timestamp() - interval '1 minute'";
    client.query_one(statement, &[]).await?.try_get(0)
}

/// The last change of each watch among the latest 10,000.
pub(in crate::outbox) async fn last_changes(client: &Client) -> Result<Vec<Row>, Error> {
    let statement = "select source, max(at)
         from (select source, at from instant.outbox order by xid desc, id desc limit 10000) as latest
         group by source";
    client.query(statement, &[]).await
}
