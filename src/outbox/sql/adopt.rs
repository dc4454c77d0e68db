//! The statements that make a restored outbox this cluster's own, in one transaction.

use tokio_postgres::{Client, Error};

use crate::outbox::LEADER_LOCK;

/// Begins. All statements that follow see one snapshot: a change that is captured meanwhile already belongs to this cluster.
pub(in crate::outbox) async fn begin(client: &Client) -> Result<(), Error> {
    client
        .batch_execute("begin isolation level repeatable read; set local synchronous_commit = on; set local lock_timeout = '10s'")
        .await
}

/// Waits, for ten seconds at most, until no relay leads, and keeps any from leading until the transaction's end.
pub(in crate::outbox) async fn lock(client: &Client) -> Result<(), Error> {
    client
        .execute("select pg_advisory_xact_lock($1)", &[&LEADER_LOCK])
        .await
        .map(drop)
}

/// Gives the unsettled changes this transaction's number, and returns how many. They keep their ids, and so their order and their
/// idempotency keys. The other cluster's snapshot does not apply to changes that were captured after the restore: these are younger
/// than the cursor. Takes the locks of updated rows, which nobody else writes.
pub(in crate::outbox) async fn take_over(client: &Client) -> Result<u64, Error> {
    let statement = "update instant.outbox as change
         set xid = pg_current_xact_id()
         from instant.relay as relay
         where relay.name = 'main'
           and (change.at > relay.updated_at
                or not pg_visible_in_snapshot(change.xid, relay.snapshot)
                   and not coalesce(change.id <= relay.after and pg_visible_in_snapshot(change.xid, relay.until), false))";
    client.execute(statement, &[]).await
}

/// Deletes the settled changes, whose numbers mean other transactions here, and returns how many.
pub(in crate::outbox) async fn drop_settled(client: &Client) -> Result<u64, Error> {
    client
        .execute("delete from instant.outbox where xid <> pg_current_xact_id()", &[])
        .await
}

/// Puts the cursor at `here`, and counts one loss, so that subscribers are told to reload what they show.
pub(in crate::outbox) async fn move_cursor(client: &Client, here: &str) -> Result<(), Error> {
    let statement = "update instant.relay
         set snapshot = $1::text::pg_snapshot, until = null, after = null, updated_at = clock_timestamp(),
             system_identifier = (select system_identifier from pg_control_system())
         where name = 'main' and nextval('instant.lost') is not null";
    client.execute(statement, &[&here]).await.map(drop)
}
