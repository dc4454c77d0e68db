//! The cursor after the database has been restored to an earlier state or moved.

use instant::outbox::{Error, Reader};

use super::{Outbox, page, rest};
use crate::support::postgres::{Cluster, versions};

/// The id of the next transaction.
const NEXT: &str = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_that_took_commits_back_the_stored_cursor_reads_what_one_in_memory_would_miss() {
    for version in versions() {
        // Nothing is written to the log but what somebody waits for.
        let settings = [
            "synchronous_commit=off",
            "wal_writer_delay=10000ms",
            "wal_writer_flush_after=1GB",
        ];
        let cluster = Cluster::start_new(version, &settings).await;
        let mut outbox = Outbox::on(cluster.database().await).await;
        let mut in_memory = None;
        while in_memory.is_none() {
            // What there is up to here is there for good.
            outbox.run("delete from instant.outbox").await;
            outbox.run("checkpoint").await;
            let leader = outbox.leader().await;
            let mut reader = outbox.reader(&leader).await;
            for _ in 0..3 {
                outbox.write(1).await;
            }
            assert_eq!(rest(&mut reader).await.len(), 3);
            let (_, position) = page(&mut reader).await;
            let before = outbox.one(NEXT).await;
            cluster.crash().await;
            cluster.start().await;
            outbox.client = outbox.database.connect().await;
            // PostgreSQL may have written some of its log by itself; then the crash did not take everything back.
            let left = outbox.one("select count(*) from instant.outbox").await;
            let again = outbox.one(NEXT).await < before;
            in_memory = position.filter(|_| left == 0 && again);
        }
        outbox.write(5).await;
        let leader = outbox.leader().await;
        assert_eq!(rest(&mut outbox.reader(&leader).await).await.len(), 5, "PostgreSQL {version}");
        // The control.
        let mut remembering = Reader::open(&outbox.url, in_memory.expect("it was read")).await.unwrap();
        assert_eq!(rest(&mut remembering).await.len(), 0, "PostgreSQL {version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_cluster_is_refused_and_would_read_nothing() {
    for version in versions() {
        let outbox = Outbox::alone(version).await;
        // That cluster was ahead of this one.
        outbox
            .run("update instant.relay set snapshot = '1000000:1000000:', system_identifier = system_identifier - 1")
            .await;
        outbox.write(10).await;
        let leader = outbox.leader().await;
        assert!(matches!(leader.cursor().await, Err(Error::ForeignCursor { .. })));
        // The control: the cluster's identifier is not looked at.
        outbox
            .run("update instant.relay set system_identifier = system_identifier + 1")
            .await;
        assert_eq!(rest(&mut outbox.reader(&leader).await).await.len(), 0);
    }
}
