//! Settled changes that are sent again.

use std::time::Duration;

use serde_json::json;

use super::{ORDERS, Stack, expect, write_config};
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

/// Changes that the stored cursor has not passed.
pub(crate) const UNSETTLED: &str = "select count(*) from instant.outbox as o, instant.relay as r
    where not pg_visible_in_snapshot(o.xid, r.snapshot)
      and not coalesce(o.id <= r.after and pg_visible_in_snapshot(o.xid, r.until), false)";

impl Stack {
    /// Waits until the stored cursor has passed every change.
    pub(crate) async fn settled(&self) {
        eventually(SOON, "a settled outbox", async || {
            (self.count(UNSETTLED).await == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_sends_the_settled_changes_of_a_model_again_under_their_event_ids() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, ORDERS).await;
        let first = stack
            .events("o = Order.objects.create(number='A1')\no.status = 'paid'\no.save()")
            .await;
        stack.settled().await;
        let output = stack.command(&["replay", "--since", "1h", "--model", "shop.Order"], 0).await;
        assert!(output.contains("changes: 2, sent: 2, refused: 0"), "{output}");
        let again = stack.events("pass").await;
        expect(&again, &[("Order created", json!(1)), ("Order edited", json!(1))]);
        assert_eq!(again, first, "the same events, ids and all");
        let twice = stack.command(&["replay", "--since", "1h", "--model", "shop.Order"], 0).await;
        assert!(twice.contains("sent: 2"), "{twice}");
        assert_eq!(stack.events("pass").await, first, "each replay has keys of its own");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_keeps_to_its_time_and_maps_with_todays_rules() {
    let mut stack = Stack::start(15, ORDERS).await;
    stack.events("Order.objects.create(number='A1')").await;
    stack.settled().await;
    let none = stack.command(&["replay", "--since", "1h", "--until", "30m"], 0).await;
    assert!(none.contains("changes: 0, sent: 0"), "{none}");
    let text = ORDERS.replacen(
        "target = 'public'",
        "target = 'public'\nmessage = 'Again {{ row.number }}'",
        1,
    );
    write_config(&stack.folder, &stack.django, &stack.centrifugo, &text);
    let arguments = ["replay", "--since", "2020-01-01T00:00:00Z", "--model", "shop.Order"];
    stack.command(&arguments, 0).await;
    assert_eq!(stack.events("pass").await[0]["message"], "Again A1");
    let unknown = stack.command(&["replay", "--since", "1h", "--model", "shop.Ordr"], 2).await;
    assert!(unknown.contains("did you mean `shop.Order`?"), "{unknown}");
    stack.command(&["replay", "--since", "yesterday"], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_settled_is_left_to_the_relay() {
    let mut stack = Stack::start(15, ORDERS).await;
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    stack.django.run("Order.objects.create(number='A1')").await;
    let output = stack.command(&["replay", "--since", "1h", "--model", "shop.Order"], 0).await;
    assert!(output.contains("changes: 0"), "{output}");
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
    assert_eq!(stack.public.next(SOON).await.value()["data"]["number"], "A1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_replay_needs_no_more_memory_than_a_short_one() {
    let rules = "[[watch]]\nmodel = 'shop.Tag'\nfields = ['name']\n[[watch.rule]]\nchannel = 'quiet'\n";
    let stack = Stack::start(15, rules).await;
    let client = stack.django.database.connect().await;
    client
        .batch_execute("insert into shop_tag (name) select repeat('x', 40) || i from generate_series(1, 1) as i")
        .await
        .unwrap();
    // Captured as if it had been: 60 MB of settled changes.
    client
        .batch_execute(
            "insert into instant.outbox (source, op, new)
             select 'public.shop_tag', 'I', json_build_object('id', i, 'name', repeat('x', 2000)) from generate_series(1, 30000) as i",
        )
        .await
        .unwrap();
    eventually(Duration::from_mins(1), "a settled outbox", async || {
        (stack.count(UNSETTLED).await == 0).then_some(())
    })
    .await;
    let mut replay = Process::instant(stack.folder.path(), &["replay", "--since", "1h"], &[]);
    let mut peak = 0;
    eventually(Duration::from_mins(2), "the end of the replay", async || {
        let held = replay.try_peak_memory();
        peak = peak.max(held.unwrap_or_default());
        held.is_none().then_some(())
    })
    .await;
    assert!(replay.wait(SOON).await.success(), "{}", replay.output());
    assert!(replay.output().contains("sent: 30001"), "{}", replay.output());
    assert!(peak > 0 && peak < 40 << 20, "the replay held {peak} bytes");
}
