//! Changes that were given up so that a write could go on.

use std::time::Instant;

use serde_json::json;

use super::{ORDERS, Stack};
use crate::support::client::Subscriber;
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

/// Rules for a fixed channel beside `public`, and for one that depends on the row.
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
    for version in postgres::versions() {
        let mut stack = Stack::start(version, ROOMS).await;
        let mut room = Subscriber::anonymous(&stack.centrifugo, &["room:fixed"]).await;
        let client = stack.django.database.connect().await;
        client.batch_execute(LOSE).await.unwrap();
        let event = stack.public.next(SOON).await.value();
        assert_eq!(
            (
                &event["event_class"],
                &event["id"],
                &event["op"],
                &event["pk"],
                &event["site"]
            ),
            (
                &json!("instant.resync"),
                &json!("lost-1"),
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
        assert_eq!(stack.public.next(SOON).await.value()["id"], "lost-2");
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
    let mut stack = Stack::start(15, ORDERS).await;
    let client = stack.django.database.connect().await;
    let begun = Instant::now();
    let (mut words, mut last) = (0, String::new());
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
            (words, last) = (words + 1, event["id"].to_string());
        }
    }
    assert!(
        words <= 1 + begun.elapsed().as_secs() / 5,
        "{words} words within {:?}",
        begun.elapsed()
    );
    while last != "\"lost-20\"" {
        let event = stack.public.next(SOON).await.value();
        assert_eq!(event["op"], "resync");
        (words, last) = (words + 1, event["id"].to_string());
    }
    assert!(words >= 2, "the first is told without delay");
    stack.told(20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_that_nobody_could_be_told_of_is_told_when_centrifugo_is_back_and_holds_nothing_up() {
    let mut stack = Stack::start(15, ORDERS).await;
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
    assert_eq!(stack.public.next(SOON).await.value()["id"], "lost-1");
    stack.told(1).await;
}

impl Stack {
    /// Waits until the told count is stored.
    async fn told(&self, lost: i64) {
        eventually(SOON, "the told count", async || {
            (self.count("select told_lost from instant.relay").await == lost).then_some(())
        })
        .await;
    }
}
