//! Dead letters in an operator's hands.

use serde_json::{Value, json};

use super::{FAILING, Stack, expect, write_config};
use crate::support::client::Subscriber;
use crate::support::wait::{SOON, eventually};

/// The number of dead letters.
const LETTERS: &str = "select count(*) from instant.dead_letter";

impl Stack {
    /// Saves a tag, and waits until both of its failing rules have left their letter.
    async fn with_letters(tags: &str, letters: i64) -> Self {
        let mut stack = Self::start(15, FAILING).await;
        stack.events(tags).await;
        eventually(SOON, "the dead letters", async || {
            (stack.count(LETTERS).await == letters).then_some(())
        })
        .await;
        stack
    }

    /// The letters that `list` finds.
    async fn listed(&self, filter: &[&str]) -> Vec<Value> {
        let arguments = [&["dead", "list", "--json"], filter].concat();
        let output = self.command(&arguments, 0).await;
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_found_by_rule_channel_reason_and_age() {
    let stack = Stack::with_letters("Tag.objects.create(name='a')\nTag.objects.create(name='b')", 4).await;
    assert_eq!(stack.listed(&[]).await.len(), 4);
    for (filter, found) in [
        (&["--rule", "shop.Tag"][..], 4),
        (&["--rule", "shop.Tag/2"], 2),
        (&["--rule", "shop.Order"], 0),
        (&["--channel", "nowhere:2"], 1),
        (&["--channel", "nowhere"], 0),
        (&["--reason", "UNKNOWN"], 2),
        (&["--newer", "1h"], 4),
        (&["--older", "1h"], 0),
        (&["--rule", "shop.Tag/1", "--reason", "unknown"], 0),
    ] {
        assert_eq!(stack.listed(filter).await.len(), found, "{filter:?}");
    }
    let letter = &stack.listed(&["--channel", "nowhere:1"]).await[0];
    assert_eq!(
        (&letter["model"], &letter["rule"], &letter["code"], &letter["attempts"]),
        (&json!("shop.Tag"), &json!(2), &json!(102), &json!(1))
    );
    let table = stack.command(&["dead", "list", &letter["id"].to_string()], 0).await;
    assert!(
        table.contains("shop.Tag/2") && table.contains("unknown channel") && table.contains("1 found"),
        "{table}"
    );
    let whole = stack.command(&["dead", "show", &letter["id"].to_string()], 0).await;
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["event"]["data"], json!({"name": "a"}));
    assert_eq!((&whole["op"], &whole["key"]), (&json!("insert"), &whole["event"]["id"]));
    stack.command(&["dead", "show", "999"], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_sends_under_the_same_key_and_what_is_refused_again_stays_with_its_reason() {
    let mut stack = Stack::with_letters("Tag.objects.create(name='a')", 2).await;
    stack.command(&["dead", "retry"], 2).await;
    let output = stack.command(&["dead", "retry", "--all"], 1).await;
    assert!(output.contains("sent: 0, no longer needed: 0, refused again: 2"), "{output}");
    for letter in stack.listed(&[]).await {
        assert_eq!(letter["attempts"], 2, "{letter}");
    }
    let id = stack.listed(&["--rule", "shop.Tag/2"]).await[0]["id"].to_string();
    let whole: Value = serde_json::from_str(&stack.command(&["dead", "show", &id], 0).await).unwrap();
    let client = stack.django.database.connect().await;
    let redirect = "update instant.dead_letter set channel = 'public' where rule = 2";
    client.batch_execute(redirect).await.unwrap();
    let copy = "create table kept as select * from instant.dead_letter where rule = 2";
    client.batch_execute(copy).await.unwrap();
    let output = stack.command(&["dead", "retry", "--rule", "shop.Tag/2"], 0).await;
    assert!(output.contains("sent: 1, no longer needed: 0, refused again: 0"), "{output}");
    assert_eq!(stack.public.next(SOON).await.value()["id"], whole["key"]);
    // Centrifugo keeps a key for five minutes: what it has taken under the letter's key once, it does not tell again.
    client
        .batch_execute(
            "insert into instant.dead_letter (key, change_id, change_at, source, op, model, rule, channel, event, reason, attempts)
             select key, change_id, change_at, source, op, model, rule, channel, event, reason, attempts from kept;
             drop table kept",
        )
        .await
        .unwrap();
    stack.command(&["dead", "retry", "--rule", "shop.Tag/2"], 0).await;
    let events = stack.events("pass").await;
    assert!(events.is_empty(), "the key was another one: {events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_sent_again_in_the_order_of_their_changes_whichever_was_parked_first() {
    const COUNT: usize = 250;
    let mut stack = Stack::start(15, FAILING).await;
    // Two for each change, the last changes first; a page holds fewer.
    let park = format!(
        "insert into instant.dead_letter (key, change_id, change_at, source, op, model, rule, channel, event, reason, attempts)
         select 'key ' || n, change_id, now(), 'public.shop_tag', 'I', 'shop.Tag', 2, 'public',
                json_build_object('change', change_id, 'letter', n), '', 1
         from generate_series(1, {COUNT}) as n, lateral (select 1000 - n / 2) as c (change_id)
         order by n"
    );
    stack.django.database.connect().await.batch_execute(&park).await.unwrap();
    stack.command(&["dead", "retry", "--all"], 0).await;
    let heard = stack.public.take(COUNT, SOON).await;
    let heard: Vec<_> = heard
        .iter()
        .map(|heard| (heard.value()["change"].as_u64(), heard.value()["letter"].as_u64()))
        .collect();
    assert!(heard.is_sorted(), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_whose_rule_failed_is_mapped_again_with_todays_rules() {
    let mut stack = Stack::with_letters("Tag.objects.create(name='a')", 2).await;
    let fixed = FAILING.replace("{{ row.name.nothing.there }}", "Tag {{ row.name }}");
    write_config(&stack.folder, &stack.django, &stack.centrifugo, &fixed);
    let output = stack.command(&["dead", "retry", "--rule", "shop.Tag/1"], 0).await;
    assert!(output.contains("sent: 1"), "{output}");
    let event = stack.public.next(SOON).await.value();
    assert_eq!(event["message"], "Tag a");
    expect(&[event], &[("Tag created", json!(1))]);
    assert_eq!(stack.listed(&[]).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_which_todays_rule_makes_nothing_is_dropped_and_counted_while_centrifugo_answers() {
    let mut stack = Stack::with_letters("Tag.objects.create(name='a')", 2).await;
    let unwanted = FAILING.replace("event_class = 'Tag {{ verb }}'", "on = 'delete'");
    write_config(&stack.folder, &stack.django, &stack.centrifugo, &unwanted);
    stack.centrifugo.stop().await;
    let first = ["dead", "retry", "--rule", "shop.Tag/1"];
    for retry in [&first[..], &["dead", "retry", "--all"]] {
        let output = stack.command(retry, 1).await;
        assert!(
            output.contains("sent before that: 0, no longer needed: 0, refused again: 0"),
            "{output}"
        );
        assert_eq!(stack.count(LETTERS).await, 2);
    }
    stack.centrifugo.start().await;
    stack.public = Subscriber::anonymous(&stack.centrifugo, &["public"]).await;
    let output = stack.command(&first, 0).await;
    assert!(output.contains("sent: 0, no longer needed: 1, refused again: 0"), "{output}");
    assert_eq!(stack.count(LETTERS).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_centrifugo_a_retry_fails_and_keeps_the_letters_as_they_were() {
    let mut stack = Stack::with_letters("Tag.objects.create(name='a')", 2).await;
    stack.centrifugo.stop().await;
    let output = stack.command(&["dead", "retry", "--rule", "shop.Tag/2"], 1).await;
    assert!(output.contains("Centrifugo cannot be reached"), "{output}");
    assert_eq!(stack.listed(&["--rule", "shop.Tag/2"]).await[0]["attempts"], 1);
    stack.centrifugo.start().await;
    stack.public = Subscriber::anonymous(&stack.centrifugo, &["public"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_dropped_only_when_that_is_said_twice() {
    let stack = Stack::with_letters("Tag.objects.create(name='a')", 2).await;
    stack.command(&["dead", "drop", "--yes"], 2).await;
    stack.command(&["dead", "drop", "--all"], 2).await;
    assert_eq!(stack.listed(&[]).await.len(), 2);
    let output = stack.command(&["dead", "drop", "--rule", "shop.Tag/2", "--yes"], 0).await;
    assert!(output.contains("dropped: 1"), "{output}");
    stack.command(&["dead", "drop", "--all", "--yes"], 0).await;
    assert!(stack.command(&["dead", "list"], 0).await.contains("no dead letters"));
}
