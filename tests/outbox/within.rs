//! A stored cursor inside a window, and how commands handle it.

use std::time::Duration;

use instant::outbox::{Adopted, Operator, Span};
use jiff::Timestamp;

use super::{Outbox, page, rest};
use crate::support::postgres::versions;

/// An outbox whose cursor is inside a window: the first change is settled, and the second is not.
async fn settled_in_part(version: u32) -> (Outbox, Vec<i64>, Vec<i64>) {
    let outbox = Outbox::alone(version).await;
    // Has the first id, and is committed after the window's end.
    let late = outbox.database.connect().await;
    let write = "begin; insert into instant.outbox (source, op, at) values ('late', 'I', clock_timestamp() - interval '1 day')";
    late.batch_execute(write).await.unwrap();
    let leader = outbox.leader().await;
    let mut reader = outbox.reader(&leader).await;
    outbox.write(10).await;
    let (_, position) = page(&mut reader).await;
    leader.settle(position.as_ref(), &[]).await.unwrap();
    outbox.write(5).await;
    let mut open = reader.page().await.unwrap();
    for _ in 0..3 {
        open.next().await.unwrap().unwrap();
    }
    leader.settle(Some(&open.after(14).unwrap()), &[]).await.unwrap();
    drop(open);
    late.batch_execute("commit").await.unwrap();
    outbox.write(2).await;
    leader.step_down().await.unwrap();
    let inside = "select count(*) from instant.relay where after = 14 and not pg_visible_in_snapshot(
        (select xid from instant.outbox where id = 1), until)";
    assert_eq!(outbox.one(inside).await, 1);
    (outbox, (2..=14).collect(), vec![1, 15, 16, 17, 18])
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_window_status_counts_what_the_cursor_has_not_passed() {
    for version in versions() {
        let (outbox, _, unsettled) = settled_in_part(version).await;
        let depth = Operator::connect(&outbox.url).await.unwrap().depth().await.unwrap();
        assert_eq!(
            usize::try_from(depth.backlog.changes),
            Ok(unsettled.len()),
            "PostgreSQL {version}"
        );
        let day = Duration::from_hours(24).as_secs_f64();
        assert!(
            (day..day + 60.0).contains(&depth.backlog.lag_seconds),
            "{}",
            depth.backlog.lag_seconds
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_window_a_replay_finds_what_the_cursor_has_passed() {
    for version in versions() {
        let (outbox, settled, _) = settled_in_part(version).await;
        let operator = Operator::connect(&outbox.url).await.unwrap();
        let now = Timestamp::now();
        let span = Span {
            since: now - Duration::from_hours(48),
            until: now,
            sources: None,
        };
        let mut replay = operator.replay(&span).await.unwrap();
        let mut found = Vec::new();
        while let Some(row) = replay.next().await.unwrap() {
            found.push(row.change().unwrap().id);
        }
        assert_eq!(found, settled, "PostgreSQL {version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_window_a_restored_outbox_goes_on_behind_the_cursor() {
    for version in versions() {
        let (outbox, settled, unsettled) = settled_in_part(version).await;
        outbox
            .run("update instant.relay set system_identifier = system_identifier - 1")
            .await;
        let adopted = Operator::connect(&outbox.url).await.unwrap().adopt().await.unwrap();
        let wanted = Adopted {
            unsettled: unsettled.len() as u64,
            settled: settled.len() as u64,
        };
        assert_eq!(adopted, Some(wanted), "PostgreSQL {version}");
        let leader = outbox.leader().await;
        assert_eq!(
            rest(&mut outbox.reader(&leader).await).await,
            unsettled,
            "PostgreSQL {version}"
        );
    }
}
