//! Changes of tables that the running rules do not have: between `instant apply` and the reload after it.

use serde_json::json;

use super::health::{answering, samples};
use super::losses::lost;
use super::{Stack, expect};
use crate::support::client::Publication;
use crate::support::postgres::free_port;
use crate::support::process::Process;
use crate::support::wait::SOON;

/// A table that will be renamed, and a rule that matches no order written here.
const RULES: &str = "
[[watch]]
model = 'shop.Tag'
[[watch.rule]]
target = 'public'
[[watch]]
model = 'shop.Order'
[[watch.rule]]
on = 'delete'
target = 'public'
";

/// What is logged about skipped changes.
const SAID: &str = "changes of a table that the running rules do not have";

impl Stack {
    /// Renames the watched table, and applies a file with its new name, which the relay has not read.
    async fn rename(&mut self) {
        let client = self.django.database.connect().await;
        client
            .batch_execute("alter table shop_tag rename to shop_label")
            .await
            .unwrap();
        self.reconfigure("model = 'shop.Tag'", "table = 'public.shop_label'");
        self.command(&["apply"], 0).await;
    }

    async fn reload(&self, before: usize) {
        self.relay.signal("HUP").await;
        self.relay.another_line("the rules were read again", before, SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_to_a_renamed_table_before_the_reload_is_told_as_a_loss_and_found_by_a_replay() {
    let port = free_port();
    let mut stack = answering(port, RULES).await;
    let unknown = async || samples(port).await["instant_unknown_total"];
    stack.events("Order.objects.create(number='1')").await;
    assert!(unknown().await < 0.5, "a source that no rule wants is known");
    let client = stack.django.database.connect().await;
    stack.rename().await;
    let write = "insert into shop_label (name) values (gen_random_uuid()::text), (gen_random_uuid()::text)";
    client.batch_execute(write).await.unwrap();
    client.batch_execute(write).await.unwrap();
    assert!(
        stack.events("pass").await.is_empty(),
        "nobody can be told what they missed before the rules know it"
    );
    let line = stack.relay.line(SAID, SOON).await;
    assert!(
        line.contains("public.shop_label") && line.contains("systemctl reload instant"),
        "{line}"
    );
    assert!((unknown().await - 4.0).abs() < 0.5);
    assert_eq!(stack.relay.count(SAID), 1);

    stack.reload(0).await;
    let event = stack.public.next(SOON).await.value();
    assert_eq!((&event["op"], lost(&event)), (&json!("resync"), 1), "{event}");
    stack.told(1).await;
    client.batch_execute(write).await.unwrap();
    let heard: Vec<_> = stack.public.take(2, SOON).await.iter().map(Publication::value).collect();
    assert_eq!((&heard[0]["pk"], &heard[1]["pk"]), (&json!(5), &json!(6)), "{heard:?}");
    stack.settled().await;
    let output = stack
        .command(&["replay", "--since", "1h", "--model", "public.shop_label"], 0)
        .await;
    assert!(output.contains("changes: 6, sent: 6"), "{output}");
    assert_eq!(stack.public.take(6, SOON).await[0].value()["pk"], 1);

    // Another reload has nothing to tell.
    stack.reload(1).await;
    let events = stack.events("Tag.objects.none()").await;
    expect(&events, &[]);
    assert!((unknown().await - 4.0).abs() < 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_role_may_not_count_a_loss_says_so_and_goes_on() {
    let mut stack = Stack::start(18, RULES).await;
    let database = &stack.django.database;
    let role = format!("relay_of_{}", database.name);
    let (url, client) = (database.url_as(&role), database.connect().await);
    client
        .batch_execute(&format!(
            "create role {role} login; create schema other; alter table shop_tag set schema other"
        ))
        .await
        .unwrap();
    stack.reconfigure("[database]\n", &format!("[database]\nrelay_role = '{role}'\n"));
    let before = std::fs::read_to_string(stack.folder.path().join("instant.toml")).unwrap();
    stack.reconfigure("model = 'shop.Tag'", "table = 'other.shop_tag'");
    stack.command(&["apply"], 0).await;
    stack.stop().await;
    // A relay of the time before the apply: it does not know the table, and has not got the right.
    client
        .batch_execute(&format!("revoke usage on sequence instant.lost from {role}"))
        .await
        .unwrap();
    let watch = before.replace("[[watch]]\nmodel = 'shop.Tag'\n[[watch.rule]]\ntarget = 'public'\n", "");
    assert_ne!(watch, before);
    let after = std::fs::read_to_string(stack.folder.path().join("instant.toml")).unwrap();
    std::fs::write(stack.folder.path().join("instant.toml"), watch).unwrap();
    stack.relay = Process::instant(stack.folder.path(), &["run", "--database-url", &url], &[]);
    stack.relay.line("leading", SOON).await;
    let write = "insert into other.shop_tag (name) values (gen_random_uuid()::text)";
    client.batch_execute(write).await.unwrap();
    let line = stack.relay.line(SAID, SOON).await;
    assert!(line.contains("other.shop_tag"), "{line}");
    std::fs::write(stack.folder.path().join("instant.toml"), after).unwrap();
    stack.reload(0).await;
    stack.relay.line("may not count a loss: run `instant apply`", SOON).await;
    client.batch_execute(write).await.unwrap();
    assert_eq!(stack.public.next(SOON).await.value()["pk"], 2);
    client
        .batch_execute(&format!("drop owned by {role}; drop role {role}"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_cannot_count_a_loss_for_now_publishes_on_and_counts_it_later() {
    let mut stack = Stack::start(18, RULES).await;
    let client = stack.django.database.connect().await;
    stack.rename().await;
    let write = "insert into shop_label (name) values (gen_random_uuid()::text)";
    client.batch_execute(write).await.unwrap();
    stack.relay.line(SAID, SOON).await;
    let locker = stack.django.database.connect().await;
    locker
        .batch_execute("begin; alter sequence instant.lost restart")
        .await
        .unwrap();
    stack.reload(0).await;
    stack.relay.line("`instant.lost` is locked", SOON).await;
    client.batch_execute(write).await.unwrap();
    assert_eq!(stack.public.next(SOON).await.value()["pk"], 2);
    locker.batch_execute("rollback").await.unwrap();
    assert_eq!(lost(&stack.public.next(SOON).await.value()), 1);
    stack.told(1).await;
    let said = stack.relay.output();
    assert!(!said.contains("starts again"), "{said}");
}
