//! `status`: what an operator sees at a glance.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ORDERS, Stack};
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

impl Stack {
    async fn status(&self) -> Value {
        serde_json::from_str(&self.command(&["status", "--json"], 0).await).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_leader_backlog_lag_size_last_events_dead_letters_and_losses() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, ORDERS).await;
        stack.events("Order.objects.create(number='A1')").await;
        let status = eventually(SOON, "a status without a backlog", async || {
            let status = stack.status().await;
            (status["backlog"]["changes"] == 0).then_some(status)
        })
        .await;
        assert_eq!(status["backlog"], json!({"changes": 0, "more": false, "lag_seconds": 0.0}));
        assert!(
            status["leader"]["pid"].is_i64() && status["leader"]["since"].is_string(),
            "{status}"
        );
        assert_eq!(status["leader"]["address"], "127.0.0.1");
        assert!(status["outbox"]["bytes"].as_i64().unwrap() > 0);
        assert!(status["last_changes"]["shop.Order"].is_string(), "{status}");
        assert_eq!((&status["dead_letters"], &status["lost"]["counted"]), (&json!(0), &json!(0)));
        assert_eq!(status["paused"], false);
        assert!(status["changes_per_second"].as_f64().unwrap() > 0.0, "{status}");

        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        stack
            .django
            .run("Order.objects.bulk_create([Order(number=str(i)) for i in range(7)])")
            .await;
        let client = stack.django.database.connect().await;
        client.batch_execute("select nextval('instant.lost')").await.unwrap();
        let status = stack.status().await;
        assert_eq!(status["leader"], Value::Null);
        assert_eq!(status["backlog"]["changes"], 7);
        assert!(status["backlog"]["lag_seconds"].as_f64().unwrap() > 0.0, "{status}");
        assert_eq!(status["lost"], json!({"counted": 1, "told": 0}));
        let text = stack.command(&["status"], 0).await;
        assert!(
            text.contains("none: start `instant run`") && text.contains("7 changes"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_of_a_backlog_of_a_million_counts_no_further_than_it_must() {
    let mut stack = Stack::start(15, ORDERS).await;
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    let client = stack.django.database.connect().await;
    client
        .batch_execute(
            "insert into instant.outbox (source, op, new)
             select 'public.shop_order', 'I', json_build_object('id', i) from generate_series(1, 1000000) as i",
        )
        .await
        .unwrap();
    let started = std::time::Instant::now();
    let status = stack.status().await;
    assert_eq!(
        (&status["backlog"]["changes"], &status["backlog"]["more"]),
        (&json!(100_000), &json!(true))
    );
    // A look at all of them takes seconds on the machines that run the tests.
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_status_is_told_again_and_again() {
    let stack = Stack::start(15, ORDERS).await;
    let mut watching = Process::instant(stack.folder.path(), &["status", "--json", "--watch", "1s"], &[]);
    eventually(SOON, "three looks", async || {
        let output = watching.output();
        let looks: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (looks.len() >= 3).then_some(())
    })
    .await;
    watching.signal("INT").await;
    assert!(watching.wait(SOON).await.success(), "{}", watching.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relays_role_is_enough_to_watch_and_fix() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, ORDERS).await;
        let database = &stack.django.database;
        let role = format!("relay_of_{}", database.name);
        let client = database.connect().await;
        client.batch_execute(&format!("create role {role} login")).await.unwrap();
        let path = stack.folder.path().join("instant.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replacen("[database]\n", &format!("[database]\nrelay_role = '{role}'\n"), 1);
        std::fs::write(path, text).unwrap();
        let url = database.url_as(&role);
        stack.command(&["apply"], 0).await;
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        stack.relay = Process::instant(stack.folder.path(), &["run", "--database-url", &url], &[]);
        stack.relay.line("leading", SOON).await;
        assert_eq!(stack.events("Order.objects.create(number='A1')").await.len(), 1);
        client
            .batch_execute(
                "insert into instant.dead_letter (key, change_id, change_at, source, op, model, rule, channel, event, reason, attempts)
                 values ('k', 1, now(), 's', 'I', 'shop.Order', 1, 'public', '{\"id\": \"k\"}', 'r', 1)",
            )
            .await
            .unwrap();
        stack.command(&["dead", "retry", "--all", "--database-url", &url], 0).await;
        assert_eq!(stack.public.next(SOON).await.value()["id"], "k");
        for command in [
            &["status"][..],
            &["replay", "--since", "1h"],
            &["dead", "drop", "--all", "--yes"],
            &["doctor"],
        ] {
            stack.command(&[command, &["--database-url", &url]].concat(), 0).await;
        }
        stack.command(&["pause", "--database-url", &url], 1).await;
    }
}
