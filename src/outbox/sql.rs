//! Every statement of the relay, one named function each: on Instant's tables, and the one that looks up rows of the project's.
//!
//! None takes a lock beyond what its verb takes. A relay's advisory locks are session-level and only ever tried, since a session that
//! waits for one would hold back the xmin horizon of the whole cluster. Only [`adopt`] waits for one, for ten seconds at most.

pub(super) mod adopt;
pub(super) mod letters;
pub(super) mod lookup;
pub(super) mod losses;
pub(super) mod replay;
pub(super) mod standby;
pub(super) mod status;
mod types;
pub(super) mod windows;

pub(super) use types::{Json, Place, Xid};

use std::time::Duration;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

use super::broadcast::Message;
use super::position::Position;
use super::{ANNOUNCEMENTS, CHANNEL, LEADER_LOCK};
use crate::capture::DOZE_LOCK;

/// Pins what a server's, a database's or a role's settings might otherwise change. Timeouts would end a dozing relay; `serializable`
/// would make writers fail more often; a sequential scan or a parallel plan costs milliseconds per window, and compiling a plan costs
/// more than running it. The keepalives let the server release the locks of a relay that was cut off. Settings that this version of
/// PostgreSQL does not have are skipped. A database without an encoding would refuse to send text that is not UTF-8 to a session that
/// declares UTF-8.
pub(super) async fn pin_settings(client: &Client) -> Result<(), Error> {
    client
        .batch_execute(
            "select set_config(setting.name, pinned.value, false)
             from (values
                ('statement_timeout', '0'), ('lock_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
                ('idle_session_timeout', '0'), ('transaction_timeout', '0'),
                ('default_transaction_isolation', 'read committed'), ('default_transaction_read_only', 'off'),
                ('enable_seqscan', 'off'), ('jit', 'off'), ('max_parallel_workers_per_gather', '0'),
                ('search_path', 'pg_catalog'), ('synchronous_commit', 'off'),
                ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3'),
                ('tcp_user_timeout', '6000'), ('trace_notify', 'off'),
                ('client_encoding', case when getdatabaseencoding() = 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end)
             ) as pinned (name, value)
             join pg_catalog.pg_settings as setting on setting.name = pinned.name",
        )
        .await
}

/// Pins what the leader's session also needs: one chunk of the purge should not read a bitmap of the whole settled part.
pub(super) async fn pin_index_order(client: &Client) -> Result<(), Error> {
    client.batch_execute("set enable_bitmapscan = off").await
}

/// The process that answers this session's queries.
pub(super) async fn backend_pid(client: &Client) -> Result<i32, Error> {
    client.query_one("select pg_backend_pid()", &[]).await?.try_get(0)
}

/// Tries to become the leader; true also if this session already is.
pub(super) async fn try_lead(client: &Client) -> Result<bool, Error> {
    client
        .query_one("select pg_try_advisory_lock($1)", &[&LEADER_LOCK])
        .await?
        .try_get(0)
}

/// Steps down, so that a standby need not wait for this connection's end.
pub(super) async fn step_down(client: &Client) -> Result<(), Error> {
    client
        .execute("select pg_advisory_unlock($1)", &[&LEADER_LOCK])
        .await
        .map(drop)
}

/// Subscribes to the triggers' notifications.
pub(super) async fn listen(client: &Client) -> Result<(), Error> {
    client.batch_execute(&format!("listen {CHANNEL}")).await
}

/// Subscribes to announcements, on a channel that nobody can guess and that `pg_stat_activity` does not show. Not in a database
/// without an encoding: the driver ends a connection that brings text that is not UTF-8. It locks the one row of its table until it is
/// done; triggers can still read that row. It waits for a lock no longer than a read may be kept waiting.
pub(super) async fn subscribe_to_announcements(client: &Client) -> Result<(), Error> {
    client
        .batch_execute(&format!(
            "select set_config('lock_timeout', '1s', true);
             update instant.announcement
             set channel = case
                 when getdatabaseencoding() <> 'SQL_ASCII' then '{ANNOUNCEMENTS}' || replace(gen_random_uuid()::text, '-', '')
             end
             where name = 'main';
             do $$
                 declare
                     named text := (select channel from instant.announcement where name = 'main');
                 begin
                     if named is not null then
                         execute format('listen %I', named);
                     end if;
                 end
             $$"
        ))
        .await
}

/// Whether triggers may notify at all: they do not if two-phase commit is enabled, since NOTIFY would make PREPARE fail.
pub(super) async fn triggers_notify(client: &Client) -> Result<bool, Error> {
    client
        .query_one("select current_setting('max_prepared_transactions') = '0'", &[])
        .await?
        .try_get(0)
}

/// Prepares [`try_doze`]'s statement.
pub(super) async fn prepare_doze(client: &Client) -> Result<Statement, Error> {
    client.prepare("select pg_try_advisory_lock($1)").await
}

/// Tries to fall asleep: fails while a transaction is open that wrote changes without a NOTIFY.
pub(super) async fn try_doze(client: &Client, statement: &Statement) -> Result<bool, Error> {
    client.query_one(statement, &[&DOZE_LOCK]).await?.try_get(0)
}

/// Prepares [`wake`]'s statement.
pub(super) async fn prepare_wake(client: &Client) -> Result<Statement, Error> {
    client.prepare("select pg_advisory_unlock($1)").await
}

/// Wakes up: from then on nobody notifies.
pub(super) async fn wake(client: &Client, statement: &Statement) -> Result<(), Error> {
    client.execute(statement, &[&DOZE_LOCK]).await.map(drop)
}

/// The cursor, the cluster that wrote it, and this cluster; `None` in a database that was restored without it.
pub(super) async fn cursor(client: &Client) -> Result<Option<Row>, Error> {
    let statement = "select relay.snapshot::text, relay.until::text, relay.after, relay.system_identifier, here.system_identifier
         from instant.relay, pg_control_system() as here
         where relay.name = 'main'";
    client.query_opt(statement, &[]).await
}

/// The current snapshot: what it does not show is committed later. A transaction that has no number yet is not in it.
pub(super) async fn current_snapshot(client: &Client) -> Result<String, Error> {
    client.query_one("select pg_current_snapshot()::text", &[]).await?.try_get(0)
}

/// Records that this session leads as of now; returns that time, and when the term before it began.
pub(super) async fn begin_term(client: &Client) -> Result<Row, Error> {
    let statement = "update instant.relay set led_since = clock_timestamp()
         from (select led_since from instant.relay where name = 'main') as former
         where name = 'main'
         returning relay.led_since, former.led_since";
    client.query_one(statement, &[]).await
}

/// Writes the cursor. The caller holds the leader's lock on this very connection: a session that has lost it cannot write.
pub(super) async fn move_cursor(client: &Client, position: &Position) -> Result<(), Error> {
    let within = position.within.as_ref();
    client
        .execute(
            "update instant.relay
             set snapshot = $1::text::pg_snapshot, until = $2::text::pg_snapshot, after = $3, updated_at = clock_timestamp()
             where name = 'main'",
            &[
                &position.snapshot.as_str(),
                &within.map(|within| within.until.as_str()),
                &within.map(|within| within.after),
            ],
        )
        .await
        .map(drop)
}

/// Sends a message by hand. The commit waits for the disk, unlike the relay's commits, which can be repeated.
pub(super) async fn broadcast(client: &Client, message: &Message) -> Result<(), Error> {
    client.batch_execute("set synchronous_commit = on").await?;
    client
        .execute(
            "select instant.broadcast($1, $2, $3, $4::text::json, $5, $6, $7)",
            &[
                &message.text,
                &message.event_class,
                &message.target,
                &message.data,
                &message.channel,
                &message.bucket,
                &message.site,
            ],
        )
        .await
        .map(drop)
}

/// Commits the open transaction.
pub(super) async fn commit(client: &Client) -> Result<(), Error> {
    client.batch_execute("commit").await
}

/// Begins the transaction of a purge, whose statement is cancelled before a standby would consider its leader hung.
pub(super) async fn begin_purge(client: &Client) -> Result<(), Error> {
    client.batch_execute("begin; set local statement_timeout = '2s'").await
}

/// Deletes at most `limit` of the oldest changes after `from` that are settled for longer than `retention`. Returns how many, and the
/// last of them. Only up to the stored cursor: a window that a restart resumes must still be whole. In order, and not past a change
/// that is too young: a purge that continues where this one ended skips no change, and reads no dead ones. An old snapshot may keep
/// millions of these in the index.
pub(super) async fn purge(
    client: &Client,
    retention: Duration,
    from: &Purged,
    limit: i64,
) -> Result<(u64, Option<Purged>), Error> {
    let statement = "with oldest as (
             select ctid, xid, id, at
             from instant.outbox
             where (xid, id) > ($3::text::xid8, $4)
               and xid < (select pg_snapshot_xmin(snapshot) from instant.relay where name = 'main')
             order by xid, id
             limit $2
         ), purged as (
             delete from instant.outbox
             where ctid = any (array(
                select ctid
                from (
                    select ctid, bool_and(at < clock_timestamp() - make_interval(secs => $1)) over (order by xid, id) as is_over
                    from oldest
                ) as change
                where is_over))
             returning xid, id
         )
         select count(*) over (), xid::text, id from purged order by xid desc, id desc limit 1";
    let parameters: [&(dyn ToSql + Sync); 4] = [&retention.as_secs_f64(), &limit, &from.xid, &from.id];
    let Some(row) = client.query_opt(statement, &parameters).await? else {
        return Ok((0, None));
    };
    let (count, xid, id) = (row.try_get::<_, i64>(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok((count.unsigned_abs(), Some(Purged { xid, id })))
}

/// The last change that a purge deleted.
#[derive(Debug)]
pub(super) struct Purged {
    xid: String,
    id: i64,
}

impl Default for Purged {
    fn default() -> Self {
        let xid = "0".to_owned();
        Self { xid, id: 0 }
    }
}
