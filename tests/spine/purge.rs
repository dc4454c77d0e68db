//! The purge next to a working feed.

use serde_json::Value;

use super::{Stack, expect};
use crate::support::django::Django;
use crate::support::postgres::{self, Cluster};
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

/// Changes that are settled and older than the retention, as after a long downtime of the relay.
const OLD: i64 = 20_000;
/// The most changes that one statement of the purge may delete.
const CHUNK: i64 = 2_000;
const WRITE_OLD: &str = "insert into instant.outbox (source, op, at)
    select 'public.nothing', 'I', clock_timestamp() - interval '1 day' from generate_series(1, 20000)";

/// Records each statement that deletes from the outbox, and the cursor at that time; each except the first waits for a gate.
const RECORD: &str = "
    create table public.purged (number bigint generated always as identity, changes bigint, xid xid8 default pg_current_xact_id(), cursor text);
    create function public.record() returns trigger language plpgsql as $$
    begin
        insert into public.purged (changes, cursor)
            select count(*), (select snapshot::text from instant.relay) from gone having count(*) > 0;
        if (select count(*) > 1 from public.purged) then
            perform pg_advisory_xact_lock_shared(17);
        end if;
        return null;
    end $$;
    create trigger record after delete on instant.outbox referencing old table as gone for each statement execute function public.record()";

/// The transactions that purged, and the largest number and the sum of their deleted changes.
async fn purged(stack: &Stack) -> (i64, i64, i64) {
    (
        stack.count("select count(distinct xid) from purged").await,
        stack.count("select max(changes) from purged").await,
        stack.count("select sum(changes)::bigint from purged").await,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_purge_goes_chunk_by_chunk_while_changes_are_published_and_the_cursor_moves_on_between_them() {
    for version in postgres::versions() {
        // Of its own: a transaction that is open in any database of a cluster holds the purge up.
        let cluster = Cluster::start_new(version, &[]).await;
        let mut stack = Stack::on(Django::new(&cluster).await, "[outbox]\nretention = '1m'\n").await;
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        let client = stack.django.database.connect().await;
        let gate = stack.django.database.connect().await;
        gate.batch_execute("select pg_advisory_lock(17)").await.unwrap();
        client.batch_execute(RECORD).await.unwrap();
        client.batch_execute(WRITE_OLD).await.unwrap();
        stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
        let waits = "select count(*) from pg_locks where locktype = 'advisory' and objid = 17 and not granted
                     and database = (select oid from pg_database where datname = current_database())";
        eventually(SOON, "a chunk under way", async || {
            (stack.count(waits).await == 1).then_some(())
        })
        .await;
        let events = stack.events("Country.objects.create(code='meanwhile', name='')").await;
        expect(&events, &[("Country created", Value::from("meanwhile"))]);
        assert_eq!(stack.count(waits).await, 1, "heard while the chunk was under way");
        gate.batch_execute("select pg_advisory_unlock(17)").await.unwrap();
        let left = "select count(*) from instant.outbox where source = 'public.nothing'";
        eventually(SOON, "the end of the purge", async || {
            (stack.count(left).await == 0).then_some(())
        })
        .await;
        assert_eq!(purged(&stack).await, (OLD / CHUNK, CHUNK, OLD));
        let cursors = stack
            .count("select count(distinct cursor) from purged where number in (2, 3)")
            .await;
        assert_eq!(cursors, 2, "what was heard was settled before the next chunk");

        // The control: one statement takes everything, and the cursor would wait for all of it.
        client.batch_execute("truncate purged").await.unwrap();
        client.batch_execute(WRITE_OLD).await.unwrap();
        client
            .batch_execute("delete from instant.outbox where at < clock_timestamp() - interval '1 minute'")
            .await
            .unwrap();
        assert_eq!(purged(&stack).await, (1, OLD, OLD));
    }
}

/// A stack whose relay finds old changes, in a database all of whose tables are published.
async fn published(version: u32, prepare: &str) -> Stack {
    let cluster = Cluster::start_new(version, &["wal_level=logical"]).await;
    let mut stack = Stack::on(Django::new(&cluster).await, "[outbox]\nretention = '1m'\n").await;
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    let client = stack.django.database.connect().await;
    client
        .batch_execute("create publication everything for all tables")
        .await
        .unwrap();
    client.batch_execute(prepare).await.unwrap();
    client.batch_execute(WRITE_OLD).await.unwrap();
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
    stack
}

/// The number of old changes that are left.
const LEFT: &str = "select count(*) from instant.outbox where source = 'public.nothing'";

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_of_all_tables_stops_neither_the_feed_nor_the_purge() {
    for version in postgres::versions() {
        let mut stack = published(version, "").await;
        let events = stack.events("Country.objects.create(code='heard', name='')").await;
        expect(&events, &[("Country created", Value::from("heard"))]);
        eventually(SOON, "the end of the purge", async || {
            (stack.count(LEFT).await == 0).then_some(())
        })
        .await;
        let said = stack.relay.output();
        assert!(!said.contains("is not purged") && !said.contains("starts again"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_postgresql_refuses_is_tried_again_and_ends_no_leadership() {
    for version in postgres::versions() {
        let mut stack = published(version, "alter table instant.outbox replica identity default").await;
        stack
            .relay
            .line("the outbox is not purged for now: cannot delete", SOON)
            .await;
        let events = stack.events("Country.objects.create(code='heard', name='')").await;
        expect(&events, &[("Country created", Value::from("heard"))]);
        let client = stack.django.database.connect().await;
        client.batch_execute("drop publication everything").await.unwrap();
        eventually(SOON, "the end of the purge", async || {
            (stack.count(LEFT).await == 0).then_some(())
        })
        .await;
        let said = stack.relay.output();
        assert!(!said.contains("starts again"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_takes_too_long_is_halved_until_what_can_be_purged_is() {
    // Of its own: a transaction that is open in any database of a cluster holds the purge up.
    let cluster = Cluster::start_new(18, &[]).await;
    let mut stack = Stack::on(Django::new(&cluster).await, "[outbox]\nretention = '1m'\n").await;
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    let client = stack.django.database.connect().await;
    client.batch_execute(WRITE_OLD).await.unwrap();
    let locker = stack.django.database.connect().await;
    locker
        .batch_execute("begin; select from instant.outbox where id = (select min(id) + 700 from instant.outbox) for key share")
        .await
        .unwrap();
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
    eventually(SOON, "the purge of what is before the locked change", async || {
        (stack.count(LEFT).await == OLD - 500).then_some(())
    })
    .await;
    locker.batch_execute("rollback").await.unwrap();
    eventually(SOON, "the end of the purge", async || {
        (stack.count(LEFT).await == 0).then_some(())
    })
    .await;
}
