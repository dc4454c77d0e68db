//! The purge: in chunks, before the stored cursor, and past dead rows.

use std::time::{Duration, Instant};

use instant::outbox::Error;

use super::{Outbox, page, rest};
use crate::support::postgres::versions;

/// The retention with which everything that is settled is purged.
const AT_ONCE: Duration = Duration::ZERO;
/// After this long without an answer, a standby assumes that its leader hangs.
const SILENCE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_in_the_middle_of_a_window_takes_nothing_that_a_restart_would_read() {
    for version in versions() {
        for control in [false, true] {
            let outbox = Outbox::alone(version).await;
            let mut leader = outbox.leader().await;
            let mut reader = outbox.reader(&leader).await;
            outbox.write(10).await;
            let (settled, position) = page(&mut reader).await;
            leader.settle(position.as_ref(), &[]).await.unwrap();
            outbox.write(5_000).await;
            let (first, _) = page(&mut reader).await;
            // Settled up to somewhere in the page, and the cursor on the rest is open.
            let mut open = reader.page().await.unwrap();
            let half = open.next().await.unwrap().unwrap().change().unwrap().id;
            leader.settle(Some(&open.after(half).unwrap()), &[]).await.unwrap();
            if control {
                // By age alone, as most would.
                outbox.run("delete from instant.outbox where at < clock_timestamp()").await;
            } else {
                while leader.purge(AT_ONCE).await.unwrap() {}
                assert_eq!(outbox.one("select count(*) from instant.outbox").await, 5_000);
            }
            let mut read = vec![half];
            while let Some(row) = open.next().await.unwrap() {
                read.push(row.change().unwrap().id);
            }
            open.end(read.last().copied()).await.unwrap();
            if control {
                let mut next = reader.page().await.unwrap();
                assert!(matches!(next.next().await, Err(Error::Moved)), "what is gone is noticed");
                let resumed = rest(&mut outbox.reader(&leader).await).await;
                assert_eq!(resumed, Vec::<i64>::new(), "the control: what a restart would read is gone");
                continue;
            }
            read.extend(rest(&mut reader).await);
            assert_eq!((settled.len(), first.len() + read.len()), (10, 5_000));
            let resumed = rest(&mut outbox.reader(&leader).await).await;
            assert_eq!(resumed, read[1..]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_goes_in_chunks_and_leaves_what_is_young_or_not_settled() {
    for version in versions() {
        let outbox = Outbox::alone(version).await;
        let mut leader = outbox.leader().await;
        let mut reader = outbox.reader(&leader).await;
        outbox.write(4_500).await;
        // A transaction that was open for long: its number is older than its change.
        outbox.run("begin; select pg_current_xact_id()").await;
        let other = outbox.database.connect().await;
        other
            .batch_execute("insert into instant.outbox (source, op, at) select 'y', 'I', clock_timestamp() - interval '1 day' from generate_series(1, 10)")
            .await
            .unwrap();
        outbox
            .run("insert into instant.outbox (source, op) values ('young', 'I'); commit")
            .await;
        assert_eq!(rest(&mut reader).await.len(), 4_511);
        let (_, position) = page(&mut reader).await;
        outbox.write(5).await;
        let left = async || outbox.one("select count(*) from instant.outbox").await;
        assert!(!leader.purge(AT_ONCE).await.unwrap(), "nothing is settled");
        assert_eq!(left().await, 4_516);
        leader.settle(position.as_ref(), &[]).await.unwrap();
        let hour = Duration::from_hours(1);
        for (more, rows) in [(true, 2_516), (true, 516), (false, 16), (false, 16)] {
            assert_eq!(
                (leader.purge(hour).await.unwrap(), left().await),
                (more, rows),
                "PostgreSQL {version}"
            );
        }
        // What was too young is not forgotten.
        leader.purge(AT_ONCE).await.unwrap();
        assert_eq!(left().await, 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_is_held_up_is_given_up_before_a_standby_thinks_that_its_leader_hangs() {
    for version in versions() {
        let outbox = Outbox::alone(version).await;
        let mut leader = outbox.leader().await;
        let mut reader = outbox.reader(&leader).await;
        outbox.write(5).await;
        let (_, position) = page(&mut reader).await;
        leader.settle(position.as_ref(), &[]).await.unwrap();
        outbox.run("begin; select from instant.outbox for share").await;
        // A machine may be slow for once; a purge that waits on is slow each time.
        let mut took = Vec::new();
        while took.len() < 3 && took.last().is_none_or(|last| *last >= SILENCE) {
            let begun = Instant::now();
            assert!(!leader.purge(AT_ONCE).await.unwrap());
            took.push(begun.elapsed());
        }
        assert!(took.last().is_some_and(|last| *last < SILENCE), "{took:?}");
        outbox.run("commit").await;
        leader.purge(AT_ONCE).await.unwrap();
        assert_eq!(
            outbox.one("select count(*) from instant.outbox").await,
            0,
            "PostgreSQL {version}"
        );
    }
}
