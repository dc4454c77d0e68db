//! Faults around a working relay, and large changes.

use std::time::{Duration, Instant};

use instant::capture::DOZE_LOCK;
use serde_json::json;
use tokio_postgres::error::SqlState;

use super::{FAILING, ORDERS, Stack, expect, write_config};
use crate::support::capture::replace;
use crate::support::centrifugo::Centrifugo;
use crate::support::client::Subscriber;
use crate::support::postgres::{self, Cluster};
use crate::support::process::{Process, instant};
use crate::support::wait::{SOON, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_fails_and_a_channel_that_is_refused_are_parked_and_stop_nothing() {
    let mut stack = Stack::start(15, FAILING).await;
    let events = stack.events("Tag.objects.create(name='a')").await;
    expect(&events, &[("Tag created", json!(1))]);
    stack.relay.line("parked: unknown channel", SOON).await;
    let count = "select count(*) from instant.dead_letter";
    eventually(SOON, "two dead letters", async || {
        (stack.count(count).await == 2).then_some(())
    })
    .await;
    let client = stack.django.database.connect().await;
    let rows = client
        .query(
            "select rule, code, reason, event is null, new is null from instant.dead_letter order by rule",
            &[],
        )
        .await
        .unwrap();
    let (failed, refused) = (&rows[0], &rows[1]);
    assert!(
        failed.get::<_, &str>(2).starts_with("message: undefined value"),
        "{}",
        failed.get::<_, &str>(2)
    );
    assert!(failed.get::<_, bool>(3) && !failed.get::<_, bool>(4));
    assert_eq!(
        (refused.get::<_, Option<i32>>(1), refused.get::<_, bool>(3)),
        (Some(102), false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_centrifugo_or_the_relay_is_down_arrives_afterwards() {
    let with_history = "target = 'public'\n[[watch.rule]]\nchannel = 'room:orders'\n";
    let mut stack = Stack::start(15, &ORDERS.replacen("target = 'public'\n", with_history, 1)).await;
    stack.centrifugo.stop().await;
    stack
        .django
        .run("Order.objects.bulk_create([Order(number=str(i)) for i in range(50)])")
        .await;
    stack.relay.line("Centrifugo cannot be reached", SOON).await;
    stack.centrifugo.start().await;
    stack.public = Subscriber::anonymous(&stack.centrifugo, &["public"]).await;
    // The subscriber may have been too late for some of them; the history has them all.
    let asked = json!({ "channel": "room:orders", "limit": 100 });
    let arrived = eventually(SOON, "the orders", async || {
        let history = stack.centrifugo.call("history", &asked).await;
        let publications = history["result"]["publications"].as_array()?.clone();
        (publications.len() >= 50).then_some(publications)
    })
    .await;
    let numbers: Vec<_> = arrived.iter().map(|event| event["data"]["data"]["number"].clone()).collect();
    assert_eq!(numbers, (0..50).map(|number| json!(number.to_string())).collect::<Vec<_>>());
    stack.events("pass").await;
    stack.relay.signal("TERM").await;
    assert!(stack.relay.wait(SOON).await.success(), "{}", stack.relay.output());
    stack.django.run("Order.objects.create(number='meanwhile')").await;
    stack.relay = Process::instant(stack.folder.path(), &["run", "--events"], &[]);
    let event = stack.public.next(SOON).await.value();
    assert_eq!(event["data"]["number"], "meanwhile");
    assert_eq!(stack.count("select count(*) from instant.dead_letter").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_rules_again_and_refuses_a_broken_file() {
    let mut stack = Stack::start(15, "").await;
    write_config(
        &stack.folder,
        &stack.django,
        &stack.centrifugo,
        "[[watch]]\nmodel = 'shop.Nothing'\n",
    );
    stack.relay.signal("HUP").await;
    stack.relay.line("the new rules are refused", SOON).await;
    assert!(stack.events("pass").await.is_empty());
    write_config(&stack.folder, &stack.django, &stack.centrifugo, "");
    let toml = std::fs::read_to_string(stack.folder.path().join("instant.toml")).unwrap();
    std::fs::write(
        stack.folder.path().join("instant.toml"),
        format!("{toml}event_class = 'country'\n"),
    )
    .unwrap();
    stack.relay.signal("HUP").await;
    stack.relay.line("the rules were read again", SOON).await;
    stack.django.run("Country.objects.create(code='FR', name='France')").await;
    assert_eq!(stack.public.next(SOON).await.value()["event_class"], "country");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_changes_in_one_transaction_pass_in_bounded_memory_and_linear_time() {
    let mut stack = Stack::start(15, ORDERS).await;
    let client = stack.django.database.connect().await;
    let mut drain = async |changes: u32| {
        let begun = Instant::now();
        client
            .batch_execute(&format!(
                "insert into shop_order (number, status, total, notes) select i, 'new', i, '' from generate_series(1, {changes}) as i"
            ))
            .await
            .unwrap();
        for number in 1..=changes {
            let event = stack.public.next(Duration::from_mins(1)).await.value();
            assert_eq!(event["data"]["number"], number.to_string());
        }
        begun.elapsed()
    };
    let (tenth, whole) = (drain(100_000).await, drain(1_000_000).await);
    // Ten times in linear time, a hundred times if each page cost what lies behind it; between them is room for a loaded machine.
    assert!(whole < tenth * 30, "100,000 changes took {tenth:?}, a million {whole:?}");
    let peak = stack.relay.peak_memory();
    assert!(peak < 64 << 20, "the relay held {peak} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_notify_queue_fails_no_watched_write_and_the_change_arrives_by_the_safety_poll() {
    // Before 17 the queue has 8 GB, which is more than a test should fill.
    for version in postgres::versions().into_iter().filter(|&version| version >= 17) {
        let cluster = Cluster::start_new(version, &["max_notify_queue_pages=64"]).await;
        let database = cluster.database().await;
        let client = database.connect().await;
        client
            .batch_execute("create table thing (id integer primary key)")
            .await
            .unwrap();
        let centrifugo = Centrifugo::start_new().await;
        let mut public = Subscriber::anonymous(&centrifugo, &["public"]).await;
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[database]\nurl = '{}'\n[centrifugo]\nurl = '{}'\napi_key = '{}'\n\
             [[watch]]\ntable = 'thing'\n[[watch.rule]]\ntarget = 'public'\n",
            database.url, centrifugo.url, centrifugo.api_key
        );
        std::fs::write(folder.path().join("instant.toml"), config).unwrap();
        assert!(instant(folder.path(), &["apply"], &[]).await.status.success());
        let relay = Process::instant(folder.path(), &["run"], &[]);
        relay.line("leading", SOON).await;

        // A listener in an open transaction keeps what it has not read in the queue.
        let sleeper = database.connect().await;
        sleeper.batch_execute("listen elsewhere").await.unwrap();
        sleeper.batch_execute("begin; select 1").await.unwrap();
        let mut filled = false;
        for number in 0..200 {
            let notify = format!("select pg_notify('elsewhere', repeat('x', 7000) || '{number}')");
            filled |= client.batch_execute(&notify).await.is_err();
        }
        assert!(filled, "the queue is not full");
        client.batch_execute("insert into thing values (1)").await.unwrap();
        assert_eq!(public.next(SOON).await.value()["pk"], 1);

        // The control: a trigger that notifies whatever the queue is like.
        for (look, instead) in [
            (format!("pg_try_advisory_xact_lock_shared({DOZE_LOCK})"), "false"),
            ("pg_notification_queue_usage() < 0.5".to_owned(), "true"),
        ] {
            replace(&client, "capture_public_thing", &look, instead).await;
        }
        let refused = client.batch_execute("insert into thing values (2)").await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::PROGRAM_LIMIT_EXCEEDED), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_every_leadership_at_once_is_tried_less_and_less_often() {
    let mut stack = Stack::start(18, "").await;
    let client = stack.django.database.connect().await;
    client
        .batch_execute(
            "create function refuse() returns trigger language plpgsql as $$ begin raise 'no cursor today'; end $$;
             create trigger refuse before update of snapshot on instant.relay for each row execute function refuse()",
        )
        .await
        .unwrap();
    stack.django.run("Country.objects.create(code='a', name='')").await;
    let fifth = eventually(SOON, "five attempts", async || {
        let output = stack.relay.output();
        let mut waits = output
            .lines()
            .filter_map(|line| line.split_once("starts again in ")?.1.split(' ').next());
        waits.nth(4).map(|wait| wait.parse::<u32>().unwrap())
    })
    .await;
    assert!(fifth >= 800, "{fifth} ms: {}", stack.relay.output());
    client.batch_execute("drop trigger refuse on instant.relay").await.unwrap();
    let events = stack.events("Country.objects.create(code='b', name='')").await;
    expect(&events, &[("Country created", "a".into()), ("Country created", "b".into())]);
}
