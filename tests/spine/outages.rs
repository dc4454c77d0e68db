//! Centrifugo is unavailable, in each of the ways in which a server can be.

use std::time::Duration;

use serde_json::Value;

use super::{Stack, expect};
use crate::support::process::Process;
use crate::support::proxy::{Mode, Proxy};
use crate::support::wait::{SOON, eventually};

/// A stack whose relay reaches Centrifugo through this proxy.
async fn behind_a_proxy(version: u32) -> (Stack, Proxy) {
    let mut stack = Stack::start(version, "").await;
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    let proxy = Proxy::to(&stack.centrifugo.url).await;
    stack.reconfigure(&stack.centrifugo.url, &proxy.url(&stack.centrifugo.url));
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
    stack.relay.line("leading", SOON).await;
    (stack, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_centrifugo_that_fails_hangs_resets_or_loses_its_answers_costs_no_event_and_repeats_none() {
    let (mut stack, proxy) = behind_a_proxy(15).await;
    let outages = [
        (Mode::Answer(500), ["500"; 2]),
        (Mode::Answer(503), ["503"; 2]),
        (Mode::Answer(429), ["429"; 2]),
        (Mode::Answer(401), ["api_key"; 2]),
        // A connection that is reset as it comes up was never there, or broke: whichever the relay sees first.
        (
            Mode::Cut,
            ["Centrifugo cannot be reached", "the connection to Centrifugo broke"],
        ),
        (Mode::LoseReplies, ["publications wait"; 2]),
    ];
    for (number, (mode, says)) in outages.into_iter().enumerate() {
        let said = || {
            let output = stack.relay.output();
            says.map(|text| output.matches(text).count())
        };
        let before = said();
        proxy.set(mode);
        // An open connection that is idle shows the outage with the next request alone.
        stack
            .django
            .run(&format!("Country.objects.create(code='{number}a', name='')"))
            .await;
        eventually(SOON, says[0], async || (said() != before).then_some(())).await;
        stack
            .django
            .run(&format!("Country.objects.create(code='{number}b', name='')"))
            .await;
        proxy.set(Mode::Pass);
        let events = stack
            .events(&format!("Country.objects.create(code='{number}c', name='')"))
            .await;
        let keys = ["a", "b", "c"].map(|letter| ("Country created", format!("{number}{letter}").into()));
        expect(&events, &keys);
    }
    assert!(stack.command(&["dead", "list"], 0).await.contains("no dead letters"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_centrifugo_that_answers_nothing_is_given_up_after_a_while_and_asked_again() {
    let (mut stack, proxy) = behind_a_proxy(15).await;
    proxy.set(Mode::Stall);
    stack.django.run("Country.objects.create(code='a', name='')").await;
    // Sooner than Centrifugo itself gives up a connection on which nothing comes.
    stack.relay.line("Centrifugo did not answer in time", SOON * 2).await;
    // A network that is back does not send again what it swallowed.
    proxy.set(Mode::Pass);
    proxy.reset();
    let events = stack.events("Country.objects.create(code='b', name='')").await;
    expect(&events, &[("Country created", "a".into()), ("Country created", "b".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_outage_under_load_fills_no_memory_and_is_caught_up_with() {
    // The subscriber stays: what it hears is all that was published.
    let (mut stack, proxy) = behind_a_proxy(18).await;
    proxy.set(Mode::Cut);
    let client = stack.django.database.connect().await;
    // 120,000 events: several times what may be in flight.
    for part in 0..60 {
        let write = format!(
            "insert into shop_country (code, name) select '{part}-' || n, repeat('x', 100) from generate_series(1, 2000) as n"
        );
        client.batch_execute(&write).await.unwrap();
    }
    stack.relay.line("publications wait", SOON).await;
    proxy.set(Mode::Pass);
    for part in 0..60 {
        for number in 1..=2000 {
            let event = stack.public.next(SOON).await.value();
            assert_eq!(event["pk"], format!("{part}-{number}"));
        }
    }
    assert_eq!(stack.events("").await, [] as [Value; 0], "nothing comes twice");
    let peak = stack.relay.peak_memory();
    assert!(peak < 64 << 20, "{} MB", peak >> 20);
    assert_eq!(stack.count("select count(*) from instant.dead_letter").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_waits_for_centrifugo_does_not_make_writers_notify_meanwhile() {
    let mut stack = Stack::start(18, "").await;
    stack.reconfigure("model = 'shop.Country'", "model = 'shop.Country'\nfields = ['name']");
    stack.command(&["apply"], 0).await;
    stack.relay.signal("HUP").await;
    stack.relay.line("the rules were read again", SOON).await;
    stack.centrifugo.stop().await;
    let client = stack.django.database.connect().await;
    client
        .batch_execute("alter table shop_country alter column name type text")
        .await
        .unwrap();
    assert!(stack.sleeps().await);
    // Rare events, until there is no room for more of them.
    for number in 0..16 {
        let write = format!("insert into shop_country (code, name) values ('{number}', repeat('x', 300000))");
        client.batch_execute(&write).await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    eventually(SOON, "a relay that is awake", async || (!stack.sleeps().await).then_some(())).await;
    stack.centrifugo.start().await;
    eventually(SOON, "a relay that sleeps again", async || stack.sleeps().await.then_some(())).await;
    assert_eq!(stack.count("select count(*) from instant.dead_letter").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_centrifugo_is_away_no_statement_of_the_relay_stays_open_and_vacuum_is_not_held_back() {
    let large = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'notes']
[[watch.rule]]
target = 'staff'
";
    // Fewer than a first page has, and a giant window.
    for orders in [900, 3_000] {
        let stack = Stack::start(15, large).await;
        eventually(SOON, "a relay that sleeps", async || stack.sleeper().await).await;
        stack.centrifugo.signal("STOP").await;
        let many = format!(
            "insert into shop_order (number, status, total, notes)
             select i, 'new', i, repeat('x', 20000) from generate_series(1, {orders}) as i"
        );
        stack.django.database.connect().await.batch_execute(&many).await.unwrap();
        let open = "select count(*) from pg_stat_activity
                    where application_name = 'instant reader' and datname = current_database() and backend_xmin is not null";
        eventually(SOON, "a statement that is held up", async || {
            (stack.count(open).await == 1).then_some(())
        })
        .await;
        eventually(SOON, "its end", async || (stack.count(open).await == 0).then_some(())).await;
        // Writers would notify all the while.
        eventually(SOON, "a relay that is awake", async || (!stack.sleeps().await).then_some(())).await;
        stack.centrifugo.signal("CONT").await;
        stack.settled().await;
        // A process that writes may be heard late.
        eventually(SOON, "each of them to be told", async || {
            (stack.relay.count("→ staff") >= orders).then_some(())
        })
        .await;
        let output = stack.relay.output();
        assert_eq!(output.matches("→ staff").count(), orders);
        assert!(!output.contains("the relay starts again"), "{output}");
    }
}
