//! Changes that were given up so that a write could succeed.

use std::time::Instant;

use serde_json::{Value, json};

use super::{ORDERS, Stack};
use crate::support::client::Subscriber;
use crate::support::gateway::{Failure, Gateway};
use crate::support::postgres::versions;
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

/// Rules for a fixed channel in addition to `public`, and for one that depends on the row.
const ROOMS: &str = "
[[watch]]
model = 'shop.Tag'
[[watch.rule]]
channel = 'room:fixed'
[[watch.rule]]
channel = 'room:{{ pk }}'
";

/// A change whose outbox is gone. Of two, the relay could see the first counted and not the second: a sequence shows what is not
/// committed.
const LOSE: &str = "
    alter table instant.outbox rename to gone;
    insert into shop_tag (name) values (gen_random_uuid()::text);
    alter table instant.gone rename to outbox";

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_logged_and_told_once_on_every_channel_that_rules_name() {
    for version in versions() {
        let mut stack = Stack::alone(version, ROOMS).await;
        let mut room = Subscriber::anonymous(&stack.centrifugo, &["room:fixed"]).await;
        let client = stack.django.database.connect().await;
        client.batch_execute(LOSE).await.unwrap();
        let event = stack.public.next(SOON).await.value();
        assert_eq!(
            (
                &event["event_class"],
                &json!(lost(&event)),
                &event["op"],
                &event["pk"],
                &event["site"]
            ),
            (
                &json!("instant.resync"),
                &json!(1),
                &json!("resync"),
                &json!(null),
                &json!("Shop")
            ),
            "{event}"
        );
        assert_eq!(room.next(SOON).await.value()["channel"], "room:fixed");
        let line = stack.relay.line("changes were lost", SOON).await;
        assert!(line.contains("lost=1"), "{line}");
        stack.told(1).await;

        // Neither a restart nor the next look tells it again.
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
        assert!(stack.events("pass").await.is_empty());
        client.batch_execute(LOSE).await.unwrap();
        assert_eq!(lost(&stack.public.next(SOON).await.value()), 2);
        stack.told(2).await;

        // The control: a relay that does not know what was told.
        client.batch_execute("update instant.relay set told_lost = 0").await.unwrap();
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
        stack.relay.line("subscribers were told to reload", SOON).await;
        stack.told(2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_one_after_the_other_are_told_at_once_and_then_every_few_seconds() {
    let mut stack = Stack::alone(15, ORDERS).await;
    let client = stack.django.database.connect().await;
    let begun = Instant::now();
    let (mut words, mut last) = (0, 0);
    for number in 1..=20 {
        // Each change is a window of its own, and brings the count.
        let lose = format!(
            "select nextval('instant.lost');
             insert into shop_order (number, status, total, notes) values ('{number}', 'new', 1, '')"
        );
        client.batch_execute(&lose).await.unwrap();
        loop {
            let event = stack.public.next(SOON).await.value();
            if event["op"] != "resync" {
                break;
            }
            (words, last) = (words + 1, lost(&event));
        }
    }
    assert!(
        words <= 1 + begun.elapsed().as_secs() / 5,
        "{words} words within {:?}",
        begun.elapsed()
    );
    while last != 20 {
        let event = stack.public.next(SOON).await.value();
        assert_eq!(event["op"], "resync");
        (words, last) = (words + 1, lost(&event));
    }
    assert!(words >= 2, "the first is told without delay");
    stack.told(20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_that_nobody_could_be_told_of_is_told_when_centrifugo_is_back_and_holds_nothing_up() {
    let mut stack = Stack::alone(15, ORDERS).await;
    stack.centrifugo.stop().await;
    let client = stack.django.database.connect().await;
    client.batch_execute("select nextval('instant.lost')").await.unwrap();
    stack.relay.line("changes were lost", SOON).await;
    assert_eq!(stack.count("select told_lost from instant.relay").await, 0);
    stack.relay.signal("KILL").await;
    stack.relay.wait(SOON).await;
    stack.centrifugo.start().await;
    stack.public = Subscriber::anonymous(&stack.centrifugo, &["public"]).await;
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
    assert_eq!(lost(&stack.public.next(SOON).await.value()), 1);
    stack.told(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_centrifugo_fails_on_one_channel_the_others_are_told_of_each_loss_and_that_one_of_the_last() {
    let mut stack = Stack::alone(15, ROOMS).await;
    let gateway = Gateway::to(&stack.centrifugo.url).await;
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    stack.reconfigure(&stack.centrifugo.url, &gateway.url);
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
    stack.relay.line("leading", SOON).await;
    let mut room = Subscriber::anonymous(&stack.centrifugo, &["room:fixed"]).await;
    gateway.fail_on("room:fixed", Failure::Code(100));

    // The first while its transaction is open, and again at its end.
    let client = stack.django.database.connect().await;
    client
        .batch_execute("begin; insert into shop_tag (name) values ('slow'); select nextval('instant.lost')")
        .await
        .unwrap();
    assert_eq!(lost(&stack.public.next(SOON).await.value()), 1);
    client.batch_execute("rollback").await.unwrap();
    assert_eq!(lost(&stack.public.next(SOON).await.value()), 1);
    client.batch_execute("select nextval('instant.lost')").await.unwrap();
    assert_eq!(lost(&stack.public.next(SOON).await.value()), 2);
    assert_eq!(stack.count("select told_lost from instant.relay").await, 0);

    gateway.restore();
    assert_eq!(lost(&room.next(SOON).await.value()), 2);
    stack.told(2).await;
    assert!(stack.events("pass").await.is_empty(), "nobody is told twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_whose_transaction_stays_open_is_told_again_once_it_has_ended() {
    for version in versions() {
        let mut stack = Stack::alone(version, ORDERS).await;
        let (writer, other) = (stack.django.database.connect().await, stack.django.database.connect().await);
        // Whoever reloads now finds the table as it was.
        writer
            .batch_execute("begin; insert into shop_tag (name) values ('slow'); select nextval('instant.lost')")
            .await
            .unwrap();
        assert_eq!(lost(&stack.public.next(SOON).await.value()), 1);
        assert_eq!(
            stack.count("select told_lost from instant.relay").await,
            0,
            "a restart tells it again"
        );
        // One that began later does not hold it up.
        other
            .batch_execute("begin; insert into shop_tag (name) values ('later')")
            .await
            .unwrap();
        writer.batch_execute("commit").await.unwrap();
        assert_eq!(lost(&stack.public.next(SOON).await.value()), 1);
        stack.told(1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_after_the_count_was_set_back_is_told_under_another_id() {
    for version in versions() {
        let mut stack = Stack::alone(version, ORDERS).await;
        let client = stack.django.database.connect().await;
        let mut ids = Vec::new();
        for _ in 0..2 {
            client.batch_execute("select nextval('instant.lost')").await.unwrap();
            let event = stack.public.next(SOON).await.value();
            ids.push(event["id"].to_string());
            stack.told(1).await;
            client.batch_execute("alter sequence instant.lost restart").await.unwrap();
            stack.told(0).await;
        }
        assert_ne!(ids[0], ids[1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_between_the_setting_back_of_the_count_and_the_next_look_are_told() {
    for version in versions() {
        let mut stack = Stack::alone(version, ORDERS).await;
        let client = stack.django.database.connect().await;
        client
            .batch_execute("select nextval('instant.lost') from generate_series(1, 10)")
            .await
            .unwrap();
        assert_eq!(lost(&stack.public.next(SOON).await.value()), 10);
        stack.told(10).await;
        client
            .batch_execute("alter sequence instant.lost restart; select nextval('instant.lost') from generate_series(1, 3)")
            .await
            .unwrap();
        assert_eq!(lost(&stack.public.next(SOON).await.value()), 3);
        stack.told(3).await;
    }
}

/// The count in a resync's id.
pub(super) fn lost(event: &Value) -> u64 {
    let id = event["id"].as_str().unwrap();
    id.split('-').nth(1).unwrap().parse().unwrap()
}

impl Stack {
    /// Waits until the published count is stored.
    pub(super) async fn told(&self, lost: i64) {
        eventually(SOON, "the told count", async || {
            (self.count("select told_lost from instant.relay").await == lost).then_some(())
        })
        .await;
    }
}
