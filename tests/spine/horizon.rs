//! A transaction that stays open, as a dump's does, keeps PostgreSQL from removing what is dead.

use std::time::Duration;

use super::{Stack, expect};
use crate::support::postgres;
use crate::support::wait::{SOON, eventually};

/// Changes that were published, and purged while nothing could be vacuumed.
const DEAD: i64 = 200_000;
/// Pages of the outbox's index that reading a few changes may touch. Its dead entries alone fill some hundreds.
const PAGES: i64 = 150;

#[tokio::test(flavor = "multi_thread")]
async fn a_held_horizon_does_not_make_the_feed_read_what_is_dead() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, "").await;
        let client = stack.django.database.connect().await;
        // It has a number too, so that every snapshot names it.
        let dump = stack.django.database.connect().await;
        dump.batch_execute("begin isolation level repeatable read; select pg_current_xact_id(), count(*) from instant.outbox")
            .await
            .unwrap();
        let write = format!(
            "insert into instant.outbox (source, op, new) select 'public.nothing', 'I', '{{}}' from generate_series(1, {DEAD})"
        );
        client.batch_execute(&write).await.unwrap();
        eventually(Duration::from_mins(1), "everything to be settled", async || {
            let status = stack.command(&["status", "--json"], 0).await;
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            (status["backlog"]["changes"] == 0).then_some(())
        })
        .await;
        for statement in ["delete from instant.outbox", "vacuum instant.outbox"] {
            client.batch_execute(statement).await.unwrap();
        }
        let dead: i64 = client
            .query_one("select pg_relation_size('instant.outbox_window') / 8192", &[])
            .await
            .unwrap()
            .get(0);
        assert!(dead > 3 * PAGES, "{dead} pages are not enough to be told apart");
        let read = async || -> i64 {
            // What a session has counted is told when it is idle.
            client.batch_execute("select pg_stat_clear_snapshot()").await.unwrap();
            let pages = "select idx_blks_read + idx_blks_hit from pg_statio_user_indexes where indexrelname = 'outbox_window'";
            client.query_one(pages, &[]).await.unwrap().get(0)
        };
        let mut before = read().await;
        eventually(SOON, "the counts to come to rest", async || {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            let now = read().await;
            (std::mem::replace(&mut before, now) == now).then_some(())
        })
        .await;
        let events = stack.events("Country.objects.create(code='a', name='')").await;
        expect(&events, &[("Country created", "a".into())]);
        let after = eventually(SOON, "the counts of a few changes", async || {
            let now = read().await;
            (now > before).then_some(now)
        })
        .await;
        assert!(after - before < PAGES, "{} of {dead} pages", after - before);
        dump.batch_execute("rollback").await.unwrap();
    }
}
