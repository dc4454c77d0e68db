//! `instant.broadcast`: what it accepts, what it refuses, and who may call it.

use std::future::poll_fn;

use instant::capture::DOZE_LOCK;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use super::fixture::{Fixture, config, watch};
use crate::support::postgres::{connect, database_with, versions};
use crate::support::wait::{SOON, within};

const TABLE: &str = "create table item (id int primary key, name text)";

async fn fixture(version: u32) -> Fixture {
    Fixture::new(version, TABLE, &watch("item", "'name'")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_written_whole_into_the_callers_transaction() {
    for version in versions() {
        let fixture = fixture(version).await;
        fixture
            .run(
                "begin; select instant.broadcast('never'); rollback;
                 begin; insert into item values (1, 'a'); select instant.broadcast('then'); commit;
                 select instant.broadcast('é \"', 'class', data => '{\"a\": 1.0, \"a\":2}', channel => 'room:1', bucket => 'b', site => 's');
                 select instant.broadcast('', target => '#42'), instant.broadcast('', target => 'group:Night, #shift')",
            )
            .await;
        let changes = fixture.changes().await;
        let ops: String = changes.iter().map(|change| change.op).collect();
        assert_eq!(ops, "IBBBB");
        assert!(
            changes[1..]
                .iter()
                .all(|change| change.source == "instant.broadcast" && change.old.is_none())
        );
        let then = json!({"message": "then", "event_class": "default", "target": null, "channel": null, "data": null, "bucket": null, "site": null});
        assert_eq!(changes[1].new_row(), then);
        let whole = json!({"message": "é \"", "event_class": "class", "target": null, "channel": "room:1", "data": {"a": 2}, "bucket": "b", "site": "s"});
        assert_eq!(changes[2].new_row(), whole);
        assert!(
            changes[2].new.as_ref().unwrap().contains("{\"a\": 1.0, \"a\":2}"),
            "as it was written"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_an_error_of_the_caller_that_says_what_is_wrong() {
    for version in versions() {
        let fixture = fixture(version).await;
        for (arguments, code, said) in [
            ("null", "22004", "message is null"),
            ("'x', ''", "22023", "event_class is empty"),
            (
                "'x', target => 'staff', channel => 'a'",
                "22023",
                "target and channel exclude each other",
            ),
            ("'x', target => 'everyone'", "22023", "'everyone' is no target; write public"),
            ("'x', target => '#'", "22023", "is no target"),
            ("'x', target => '#1,2'", "22023", "is no target"),
            ("'x', target => 'group:'", "22023", "is no target"),
            (
                "'x', channel => ''",
                "22023",
                "a channel has 1 to 255 characters, this one has 0",
            ),
            ("'x', channel => repeat('c', 256)", "22023", "this one has 256"),
            ("'x', data => '[1]'", "22023", "data must be a JSON object, this is array"),
            ("'x', data => '{'", "22P02", "invalid input syntax for type json"),
        ] {
            let error = fixture
                .client
                .batch_execute(&format!("select instant.broadcast({arguments})"))
                .await
                .expect_err(arguments);
            let error = error.as_db_error().unwrap();
            assert_eq!(error.code().code(), code, "{arguments}: {error}");
            assert!(error.message().contains(said), "{arguments}: {error}");
        }
        fixture.run("alter table instant.outbox rename to gone").await;
        fixture
            .client
            .batch_execute("select instant.broadcast('x')")
            .await
            .expect_err("no outbox");
    }
}

/// A connection, and its notifications.
async fn listener(url: &str) -> (Client, UnboundedReceiver<String>) {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                sender.send(notification.channel().to_owned()).unwrap();
            }
        }
    });
    (client, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_relay_is_woken_and_one_that_is_awake_cannot_fall_asleep_before_the_commit() {
    for version in versions() {
        let fixture = fixture(version).await;
        let (relay, mut notified) = listener(&fixture.database.url).await;
        let body: String = fixture
            .client
            .query_one("select prosrc from pg_proc where oid = 'instant.broadcast'::regproc", &[])
            .await
            .unwrap()
            .get(0);
        assert!(
            body.contains(&DOZE_LOCK.to_string()),
            "the lock of the triggers and the relay"
        );
        relay.batch_execute("listen instant").await.unwrap();
        fixture.run("select instant.broadcast('awake')").await;
        fixture.run("begin; select instant.broadcast('open')").await;
        let doze = format!("select pg_try_advisory_lock({DOZE_LOCK})");
        assert!(!relay.query_one(&doze, &[]).await.unwrap().get::<_, bool>(0));
        fixture.run("commit").await;
        assert!(relay.query_one(&doze, &[]).await.unwrap().get::<_, bool>(0));
        assert!(notified.try_recv().is_err(), "nobody slept");
        fixture.run("select instant.broadcast('asleep')").await;
        within(SOON, "a notification", notified.recv()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_transactions_can_be_prepared_a_message_can_be_too() {
    for version in versions() {
        let database = database_with(version, &["max_prepared_transactions=10"]).await;
        let fixture = Fixture::on(database, TABLE).await;
        fixture.apply(&watch("item", "'name'")).await;
        let relay = connect(&fixture.database.url).await;
        relay
            .batch_execute(&format!("select pg_advisory_lock({DOZE_LOCK})"))
            .await
            .unwrap();
        let name = &fixture.database.name;
        fixture
            .run(&format!("begin; select instant.broadcast('x'); prepare transaction '{name}'"))
            .await;
        fixture.run(&format!("commit prepared '{name}'")).await;
        assert_eq!(fixture.change().await.op, 'B');
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_a_watched_table_may_call_it_and_nobody_else() {
    for version in versions() {
        let fixture = Fixture::without_watches(version, TABLE).await;
        let (owner, other) = (
            format!("app_{}", fixture.database.name),
            format!("other_{}", fixture.database.name),
        );
        fixture
            .run(&format!(
                "create role {owner} login; create role {other} login; alter table item owner to {owner}"
            ))
            .await;
        let toml = watch("item", "'name'");
        let planned = fixture.plan(&toml).await;
        assert!(
            planned
                .to_string()
                .contains("this role owns a watched table and may send messages by hand"),
            "{planned}"
        );
        fixture.apply(&toml).await;
        assert!(fixture.plan(&toml).await.is_empty());
        let send = "select instant.broadcast('x')";
        let as_owner = connect(&fixture.database.url_as(&owner)).await;
        as_owner.batch_execute(send).await.unwrap();
        for refused in [
            "insert into instant.outbox (source, op) values ('x', 'B')",
            "select * from instant.outbox",
        ] {
            as_owner.batch_execute(refused).await.expect_err(refused);
        }
        let as_other = connect(&fixture.database.url_as(&other)).await;
        as_other.batch_execute(send).await.expect_err(send);
        fixture.run(&format!("grant usage on schema instant to {other}")).await;
        as_other.batch_execute(send).await.expect_err(send);
        fixture.run(&format!("revoke usage on schema instant from {owner}")).await;
        assert_eq!(
            fixture.apply(&toml).await,
            [format!("grant usage on schema instant to \"{owner}\"")]
        );

        // The owner can compare too, and a script for a DBA grants the same.
        let pool = PgPool::connect(&fixture.database.url_as(&owner)).await.unwrap();
        fixture
            .run(&format!("grant select on instant._sqlx_migrations to {owner}"))
            .await;
        let resolved = instant::capture::resolve(&pool, &config(&toml)).await.unwrap();
        assert!(
            instant::capture::plan(&pool, &config(&toml), &resolved.watches)
                .await
                .unwrap()
                .is_empty()
        );
        pool.close().await;
        assert!(fixture.script(&toml).await.contains(&format!(
            "execute on function instant.broadcast(text, text, text, json, text, text, text) to \"{owner}\";"
        )));
        fixture
            .run(&format!("drop owned by {owner}, {other}; drop role {owner}, {other}"))
            .await;
    }
}
