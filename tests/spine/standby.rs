//! Two relays on one database: one leads, the other takes over.

use std::time::{Duration, Instant};

use instant::capture::DOZE_LOCK;
use tokio_postgres::Client;

use super::Stack;
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::proxy::{Mode, Proxy};
use crate::support::wait::{SOON, eventually};

/// What a relay logs each time that it begins to stand by.
const STANDS_BY: &str = "standby: another relay leads";

/// The event of the next country, which arrives once.
async fn expect_one(stack: &mut Stack, code: &str) {
    let events = stack.events(&format!("Country.objects.create(code='{code}', name='')")).await;
    super::expect(&events, &[("Country created", code.into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_from_a_leader_that_is_killed_or_stopped_or_hangs() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, "").await;
        for (number, fault) in ["KILL", "TERM", "STOP"].into_iter().enumerate() {
            let standby = Process::instant(stack.folder.path(), &["run", "--events"], &[]);
            standby.line(STANDS_BY, SOON).await;
            expect_one(&mut stack, &format!("{number}a")).await;
            let sleeper = eventually(SOON, "a relay that sleeps", async || stack.sleeper().await).await;
            stack.relay.signal(fault).await;
            standby.line("leading", SOON).await;
            eventually(SOON, "that the new one sleeps", async || {
                stack.sleeper().await.filter(|pid| *pid != sleeper)
            })
            .await;
            let former = std::mem::replace(&mut stack.relay, standby);
            expect_one(&mut stack, &format!("{number}b")).await;
            if fault == "STOP" {
                // What it slept through is over when it wakes: it finds its session ended, and waits for its turn.
                let stood_by = former.count(STANDS_BY);
                former.signal("CONT").await;
                former.another_line(STANDS_BY, stood_by, SOON).await;
                expect_one(&mut stack, &format!("{number}c")).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_from_a_leader_whose_network_is_cut() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, "").await;
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        let proxy = Proxy::to(&stack.django.database.url).await;
        let far = proxy.url(&stack.django.database.url);
        stack.relay = Process::instant(stack.folder.path(), &["run"], &[("INSTANT_DATABASE_URL", &far)]);
        stack.relay.line("leading", SOON).await;
        let standby = Process::instant(stack.folder.path(), &["run"], &[]);
        standby.line(STANDS_BY, SOON).await;
        proxy.set(Mode::Stall);
        standby.line("leading", SOON).await;
        expect_one(&mut stack, "a").await;
        proxy.set(Mode::Pass);
        stack.relay.line(STANDS_BY, SOON).await;
        expect_one(&mut stack, "b").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_busy_or_waits_for_centrifugo_is_left_in_office() {
    let mut stack = Stack::start(15, "").await;
    let standby = Process::instant(stack.folder.path(), &["run"], &[]);
    standby.line(STANDS_BY, SOON).await;
    stack.centrifugo.stop().await;
    let client = stack.django.database.connect().await;
    // Longer than a leader may be silent, and nothing of what is written can be published.
    let until = Instant::now() + Duration::from_secs(8);
    eventually(SOON, "the end of the outage", async || {
        let write =
            "insert into shop_country (code, name) select 'x' || coalesce(max(id), 0), repeat('x', 100) from instant.outbox";
        client.batch_execute(write).await.unwrap();
        (Instant::now() > until).then_some(())
    })
    .await;
    let said = standby.output();
    assert!(!said.contains("has not answered") && !said.contains("leading"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_that_only_tries_for_the_lock_follows_no_leader_that_hangs_or_is_cut_off() {
    let mut stack = Stack::start(15, "").await;
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    // The lock's neighbour, see `outbox`.
    let lead = format!("select pg_try_advisory_lock({})", DOZE_LOCK + 1);
    let proxy = Proxy::to(&stack.django.database.url).await;
    // Keepalives alone: the kernels on both sides of the cut answer them.
    let far = format!(
        "{}?keepalives_idle=1&keepalives_interval=1&keepalives_retries=1",
        proxy.url(&stack.django.database.url)
    );
    let cut_off = postgres::connect(&far).await;
    cut_off
        .batch_execute(&format!(
            "set tcp_keepalives_idle = 1; set tcp_keepalives_interval = 1; set tcp_keepalives_count = 1; {lead}"
        ))
        .await
        .unwrap();
    proxy.set(Mode::Stall);
    let naive = stack.django.database.connect().await;
    follows_not(&naive, &lead).await;
    drop((cut_off, proxy));

    stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
    stack.relay.line("leading", SOON).await;
    stack.relay.signal("STOP").await;
    follows_not(&naive, &lead).await;
    stack.relay.signal("CONT").await;
}

/// Asserts that a session does not get the lock for longer than a standby needs.
async fn follows_not(session: &Client, lead: &str) {
    let until = Instant::now() + Duration::from_secs(6);
    eventually(SOON, "a standby's time", async || {
        assert!(!session.query_one(lead, &[]).await.unwrap().get::<_, bool>(0));
        (Instant::now() > until).then_some(())
    })
    .await;
}
