//! A transaction that stays open, as a dump's does, keeps PostgreSQL from removing dead rows.

use std::time::Duration;

use tokio_postgres::Client;

use super::{Outbox, page, rest};
use crate::support::postgres::versions;
use crate::support::wait::{SOON, eventually};

/// Pages of the outbox's index that have been touched, after the session of this name has ended: its counts are reported then.
async fn pages(outbox: &Outbox, session: &str) -> i64 {
    let sessions =
        format!("select count(*) from pg_stat_activity where application_name = '{session}' and datname = current_database()");
    eventually(SOON, "the end of a session", async || {
        (outbox.one(&sessions).await == 0).then_some(())
    })
    .await;
    outbox
        .one("select idx_blks_read + idx_blks_hit from pg_statio_user_indexes where indexrelname = 'outbox_window'")
        .await
}

/// The size of the index in pages.
async fn index(outbox: &Outbox) -> i64 {
    outbox.one("select pg_relation_size('instant.outbox_window') / 8192").await
}

/// A snapshot with a transaction id too, so that every other snapshot includes it as running.
async fn dump(outbox: &Outbox) -> Client {
    let dump = outbox.database.connect().await;
    dump.batch_execute("begin isolation level repeatable read; select pg_current_xact_id(), count(*) from instant.outbox")
        .await
        .unwrap();
    dump
}

/// A session of this name.
async fn session(outbox: &Outbox, name: &str) -> Client {
    let client = outbox.database.connect().await;
    client
        .batch_execute(&format!("set application_name = '{name}'"))
        .await
        .unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_horizon_does_not_make_the_feed_read_what_is_dead() {
    for version in versions() {
        let outbox = Outbox::alone(version).await;
        let dump = dump(&outbox).await;
        let leader = outbox.leader().await;
        let mut reader = outbox.reader(&leader).await;
        let writer = session(&outbox, "writer").await;
        let write =
            |changes: u32| format!("insert into instant.outbox (source, op) select 'x', 'I' from generate_series(1, {changes})");
        writer.batch_execute(&write(200_000)).await.unwrap();
        assert_eq!(rest(&mut reader).await.len(), 200_000);
        let (_, position) = page(&mut reader).await;
        leader.settle(position.as_ref(), &[]).await.unwrap();
        for statement in ["delete from instant.outbox", "vacuum instant.outbox"] {
            writer.batch_execute(statement).await.unwrap();
        }
        writer.batch_execute(&write(3)).await.unwrap();
        drop((writer, reader));
        pages(&outbox, "writer").await;
        let before = pages(&outbox, "instant reader").await;

        let mut reader = outbox.reader(&leader).await;
        assert_eq!(rest(&mut reader).await.len(), 3);
        drop(reader);
        let touched = pages(&outbox, "instant reader").await - before;

        // The control: a reader that begins where the table does, as one does that deletes what it has read.
        let naive = session(&outbox, "naive").await;
        let first =
            "set enable_seqscan = off; set enable_bitmapscan = off; select id from instant.outbox order by xid, id limit 3";
        naive.batch_execute(first).await.unwrap();
        drop(naive);
        let naive = pages(&outbox, "naive").await - before - touched;
        let all = index(&outbox).await;
        assert!(touched < all / 5, "PostgreSQL {version}: {touched} pages of {all}");
        assert!(naive > all / 2, "PostgreSQL {version}: {naive} pages of {all}");
        dump.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_under_a_held_horizon_reads_what_is_dead_once_and_not_for_each_chunk() {
    /// How much the purge deletes at once, and how often.
    const CHUNK: usize = 2_000;
    const CHUNKS: usize = 30;
    let write = format!(
        "insert into instant.outbox (source, op, at) select 'x', 'I', clock_timestamp() - interval '1 day' from generate_series(1, {})",
        CHUNKS * CHUNK
    );
    for version in versions() {
        for control in [false, true] {
            let outbox = Outbox::alone(version).await;
            let writer = session(&outbox, "writer").await;
            writer.batch_execute(&write).await.unwrap();
            drop(writer);
            let before = pages(&outbox, "writer").await;
            outbox.run("update instant.relay set snapshot = pg_current_snapshot()").await;
            let dump = outbox.database.connect().await;
            dump.batch_execute("begin isolation level repeatable read; select count(*) from instant.relay")
                .await
                .unwrap();
            if control {
                let plain = session(&outbox, "instant leader").await;
                plain.batch_execute("set enable_seqscan = off").await.unwrap();
                for _ in 0..CHUNKS {
                    let oldest = format!("select ctid from instant.outbox order by xid, id limit {CHUNK}");
                    let chunk = format!("delete from instant.outbox where ctid = any (array({oldest}))");
                    plain.batch_execute(&chunk).await.unwrap();
                }
            } else {
                let mut leader = outbox.leader().await;
                while leader.purge(Duration::ZERO).await.unwrap() {}
            }
            let touched = pages(&outbox, "instant leader").await - before;
            let all = index(&outbox).await;
            assert_eq!(
                touched > 4 * all,
                control,
                "PostgreSQL {version}: {touched} times a page, of {all}"
            );
            dump.batch_execute("rollback").await.unwrap();
            assert_eq!(outbox.one("select count(*) from instant.outbox").await, 0);
        }
    }
}
