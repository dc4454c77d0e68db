//! `doctor`: what is wrong, with the command that fixes it. Each fault is a real one.

use std::io::Write;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_postgres::SimpleQueryMessage;

use super::{ORDERS, Stack, write_config};
use crate::support::cache::manifest;
use crate::support::django::Django;
use crate::support::pgbouncer::PgBouncer;
use crate::support::postgres::{self, Cluster, free_port};
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

impl Stack {
    /// The findings of doctor.
    async fn findings(&self, arguments: &[&str], code: i32) -> Vec<Value> {
        let output = self.command(&[&["doctor", "--json"], arguments].concat(), code).await;
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
    }

    /// The one finding of a code.
    pub(super) async fn finding(&self, code: &str, arguments: &[&str]) -> Value {
        let findings = self.findings(arguments, 3).await;
        let found: Vec<_> = findings.iter().filter(|finding| finding["code"] == code).collect();
        assert_eq!(found.len(), 1, "{code} in {findings:#?}");
        for part in ["what", "place", "fix"] {
            assert!(!found[0][part].as_str().unwrap().is_empty(), "{findings:#?}");
        }
        found[0].clone()
    }

    /// Runs a finding's own statement.
    async fn fix(&self, finding: &Value) {
        let client = self.django.database.connect().await;
        client.batch_execute(finding["fix"].as_str().unwrap()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_system_has_no_findings_and_each_fault_in_the_database_has_its_own() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, ORDERS).await;
        assert_eq!(stack.findings(&[], 0).await, Vec::<Value>::new());
        assert!(stack.command(&["doctor"], 0).await.contains("all is well"));
        let client = stack.django.database.connect().await;

        client
            .batch_execute("alter table shop_order disable trigger \"!instant\"")
            .await
            .unwrap();
        let drift = stack.finding("drift", &[]).await;
        assert!(drift["place"].as_str().unwrap().contains("shop_order"), "{drift}");
        assert_eq!(drift["fix"], "instant apply");
        stack.command(&["apply"], 0).await;
        // What was written meanwhile was not captured.
        stack.finding("lost", &[]).await;
        client.batch_execute("alter sequence instant.lost restart").await.unwrap();

        let name = &stack.django.database.name;
        client
            .batch_execute(&format!("alter database {name} set session_replication_role = replica"))
            .await
            .unwrap();
        let finding = stack.finding("replication-role", &[]).await;
        stack.fix(&finding).await;
        assert_eq!(stack.findings(&[], 0).await, Vec::<Value>::new());

        stack.command(&["pause"], 0).await;
        let codes: Vec<_> = stack.findings(&[], 3).await;
        assert!(codes.iter().all(|finding| finding["code"] == "paused"), "{codes:#?}");
        stack.command(&["resume"], 0).await;
        let finding = stack.finding("lost", &[]).await;
        client.batch_execute("alter sequence instant.lost restart").await.unwrap();
        assert!(
            finding["fix"]
                .as_str()
                .unwrap()
                .ends_with("alter sequence instant.lost restart")
        );
        assert_eq!(stack.findings(&[], 0).await, Vec::<Value>::new());

        client
            .batch_execute("update instant.relay set system_identifier = 1")
            .await
            .unwrap();
        stack.finding("foreign-cursor", &[]).await;
        client
            .batch_execute("update instant.relay set system_identifier = (select system_identifier from pg_control_system())")
            .await
            .unwrap();
        stack.reconfigure("[database]\n", "[database]\nrelay_role = 'nobody at all'\n");
        stack.finding("relay-role", &[]).await;
        stack.reconfigure("relay_role = 'nobody at all'\n", "");

        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        stack.finding("no-leader", &[]).await;
        client
            .batch_execute("insert into instant.outbox (source, op, at) values ('x', 'I', now() - interval '1 hour')")
            .await
            .unwrap();
        stack.finding("lag", &[]).await;
        stack.command(&["remove", "--yes"], 0).await;
        stack.finding("schema", &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_pooler_is_recognised_for_what_it_is() {
    for version in postgres::versions() {
        let stack = Stack::start(version, ORDERS).await;
        let Some(pooler) = PgBouncer::before(&stack.django.database).await else {
            let why = "skipped: PgBouncer is not installed here; `tests/tools/setup` installs it, as root on Debian";
            writeln!(std::io::stderr(), "{why}").unwrap();
            return;
        };
        stack.reconfigure(&stack.django.database.url, &pooler.url);
        let finding = stack.finding("pooler", &[]).await;
        assert_eq!(finding["place"], "[database] url");
        let refused = stack.command(&["run"], 1).await;
        assert!(refused.contains("connection pooler"), "{refused}");
        // The control: two sessions that do not look both have a lock that only one may have.
        for _ in 0..2 {
            let client = postgres::connect(&pooler.url).await;
            let answers = client.simple_query("select pg_try_advisory_lock(17)").await.unwrap();
            let locked = answers.iter().find_map(|answer| match answer {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            });
            assert_eq!(locked.as_deref(), Some("t"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_that_are_off_for_every_role_are_found_with_what_turns_them_on() {
    // Its own cluster: the setting holds in every database.
    let cluster = Cluster::start_new(15, &[]).await;
    let stack = Stack::on(Django::new(&cluster).await, ORDERS).await;
    let client = stack.django.database.connect().await;
    client
        .batch_execute("alter role all set session_replication_role = replica")
        .await
        .unwrap();
    let finding = stack.finding("replication-role", &[]).await;
    assert_eq!(finding["place"], "every role");
    stack.fix(&finding).await;
    assert_eq!(stack.findings(&[], 0).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_prepared_transactions_that_hold_back_vacuum_are_found() {
    // Its own cluster: other tests' transactions hold vacuum back too.
    let cluster = Cluster::start_new(15, &["max_prepared_transactions=10"]).await;
    let stack = Stack::on(Django::new(&cluster).await, ORDERS).await;
    let busy = stack.django.database.connect().await;
    busy.batch_execute("set application_name = 'a long report'; begin; insert into shop_tag (name) values ('a')")
        .await
        .unwrap();
    let finding = stack.finding("old-snapshot", &["--old", "0s"]).await;
    assert!(finding["place"].as_str().unwrap().contains("a long report"), "{finding}");
    assert_eq!(stack.findings(&[], 0).await, Vec::<Value>::new(), "not old enough");
    stack.fix(&finding).await;

    let other = stack.django.database.connect().await;
    other
        .batch_execute("begin; insert into shop_tag (name) values ('b'); prepare transaction 'it''s mine'")
        .await
        .unwrap();
    let finding = stack.finding("prepared-transaction", &["--old", "0s"]).await;
    assert_eq!(finding["place"], "'it''s mine'");
    other.batch_execute("rollback prepared 'it''s mine'").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_notifications_that_fills_up_is_found() {
    let cluster = Cluster::start_new(18, &["max_notify_queue_pages=64"]).await;
    let stack = Stack::on(Django::new(&cluster).await, ORDERS).await;
    let listener = stack.django.database.connect().await;
    listener.batch_execute("listen other").await.unwrap();
    listener.batch_execute("begin; select 1").await.unwrap();
    let notifier = stack.django.database.connect().await;
    for number in 0..30 {
        let notify = format!("select pg_notify('other', '{number}' || repeat('x', 7000))");
        notifier.batch_execute(&notify).await.unwrap();
    }
    let finding = stack.finding("notify-queue", &[]).await;
    assert!(finding["what"].as_str().unwrap().contains('%'), "{finding}");
}

#[tokio::test(flavor = "multi_thread")]
async fn centrifugo_its_key_its_namespaces_and_its_clock_are_looked_at() {
    let unknown = "[[watch]]\nmodel = 'shop.Tag'\n[[watch.rule]]\nchannel = 'nowhere:{{ pk }}'\n[[watch.rule]]\nchannel = 'room:{{ pk }}'\n";
    let mut stack = Stack::start(15, unknown).await;
    let finding = stack.finding("namespace", &[]).await;
    assert!(finding["fix"].as_str().unwrap().contains("\"nowhere\""), "{finding}");
    stack.django.run("Tag.objects.create(name='a')").await;
    eventually(SOON, "a dead letter", async || {
        (stack.count("select count(*) from instant.dead_letter").await == 1).then_some(())
    })
    .await;
    stack.finding("dead-letters", &[]).await;
    stack.command(&["dead", "drop", "--all", "--yes"], 0).await;

    write_config(&stack.folder, &stack.django, &stack.centrifugo, "");
    stack.command(&["apply"], 0).await;
    assert_eq!(stack.findings(&[], 0).await, Vec::<Value>::new());
    stack.reconfigure("api_key = '", "api_key = 'not ");
    stack.finding("centrifugo-key", &[]).await;
    stack.reconfigure("api_key = 'not ", "api_key = '");

    // A machine's clock cannot be set for one process alone: this stands in for a Centrifugo whose clock is wrong.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await;
        let reply = "HTTP/1.1 200 OK\r\nDate: Tue, 01 Jan 2019 00:00:00 GMT\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        let _ = socket.write_all(reply.as_bytes()).await;
    });
    stack.reconfigure(&stack.centrifugo.url, &format!("http://{address}"));
    stack.finding("clock", &[]).await;
    stack.reconfigure(&format!("http://{address}"), &stack.centrifugo.url);

    stack.centrifugo.stop().await;
    stack.finding("centrifugo-unreachable", &[]).await;
    stack.centrifugo.start().await;
    assert_eq!(json!(stack.findings(&[], 0).await), json!([]));
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_out_of_reach_and_an_outbox_that_may_not_be_read_are_found() {
    let stack = Stack::start(18, ORDERS).await;
    let nowhere = format!("postgres://nobody@127.0.0.1:{}/shop", free_port());
    stack.finding("database-unreachable", &["--database-url", &nowhere]).await;

    let database = &stack.django.database;
    let role = format!("{}_blind", database.name);
    let client = database.connect().await;
    client.batch_execute(&format!("create role {role} login")).await.unwrap();
    let finding = stack
        .finding("outbox-unreadable", &["--database-url", &database.url_as(&role)])
        .await;
    assert!(finding["fix"].as_str().unwrap().contains("relay_role"), "{finding}");
}

#[test]
fn each_code_of_doctor_is_documented() {
    let documentation = std::fs::read_to_string(manifest("docs/operations.md")).unwrap();
    let mut codes = 0;
    for entry in std::fs::read_dir(manifest("src/cli/doctor")).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for call in source.split("findings.add(").skip(1) {
            let code = call.split('"').nth(1).unwrap();
            assert!(documentation.contains(&format!("| `{code}` |")), "{code}");
            codes += 1;
        }
    }
    assert!(codes > 15, "{codes} calls were found");
}
