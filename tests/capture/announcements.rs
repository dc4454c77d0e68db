//! What a transaction announces while the relay sleeps, and who receives it.

use std::future::poll_fn;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use super::fixture::{Fixture, watch};
use crate::support::capture::replace;
use crate::support::postgres::{Database, database_with, versions};
use crate::support::wait::{SOON, within};

const TABLE: &str = "create table item (id int primary key, name text)";

/// A session that listens, and its notifications: channels and payloads.
pub(super) struct Listener {
    pub(super) client: Client,
    heard: mpsc::UnboundedReceiver<(String, String)>,
    /// The server's messages in addition to its answers.
    shown: mpsc::UnboundedReceiver<String>,
}

impl Listener {
    pub(super) async fn of(url: &str) -> Self {
        let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let (tell, heard) = mpsc::unbounded_channel();
        let (show, shown) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                match message {
                    AsyncMessage::Notification(notification) => {
                        let _ = tell.send((notification.channel().to_owned(), notification.payload().to_owned()));
                    }
                    AsyncMessage::Notice(notice) => {
                        let _ = show.send(notice.message().to_owned());
                    }
                    _ => {}
                }
            }
        });
        Self { client, heard, shown }
    }

    /// The payloads on `channel` up to this one.
    pub(super) async fn payloads(&mut self, channel: &str, last: &str) -> Vec<String> {
        let mut payloads = Vec::new();
        loop {
            match within(SOON, "a notification", self.heard.recv()).await.unwrap() {
                (_, payload) if payload == last => return payloads,
                (name, payload) if name == channel => payloads.push(payload),
                _ => {}
            }
        }
    }

    /// The announcements up to the next wake-up.
    async fn announced(&mut self) -> Vec<Value> {
        let mut announced = Vec::new();
        loop {
            let (channel, payload) = within(SOON, "a notification", self.heard.recv()).await.unwrap();
            if channel == "instant" {
                assert_eq!(payload, "");
                return announced;
            }
            announced.push(serde_json::from_str(&payload).unwrap());
        }
    }
}

/// Sleeps as a relay does, and listens to announcements on a channel of this name.
async fn sleeper(database: &Database) -> Listener {
    let sleeper = Listener::of(&database.url).await;
    let doze = format!(
        "update instant.announcement set channel = 'known'; listen known; listen instant; select pg_advisory_lock({})",
        instant::capture::DOZE_LOCK
    );
    sleeper.client.batch_execute(&doze).await.unwrap();
    sleeper
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_announces_the_first_of_its_changes_that_stays() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "'name'")).await;
        let mut sleeper = sleeper(&fixture.database).await;
        fixture.run("insert into item values (1, 'a\"ä')").await;
        let announced = sleeper.announced().await;
        let [transaction, id, at, rest @ ..] = announced[0].as_array().unwrap().as_slice() else {
            panic!("{announced:?}")
        };
        assert_eq!(
            rest,
            [
                json!("public.item"),
                json!("I"),
                json!(null),
                json!({"id": 1, "name": "a\"ä"})
            ]
        );
        let row = "select xid::text, id, at from instant.outbox";
        let row = fixture.client.query_one(row, &[]).await.unwrap();
        assert_eq!(transaction, row.get::<_, &str>(0));
        assert_eq!(*id, row.get::<_, i64>(1));
        assert_eq!(*at, row.get::<_, jiff::Timestamp>(2).as_microsecond());

        fixture.run("insert into item values (2, 'a'), (3, 'b')").await;
        assert_eq!(sleeper.announced().await.len(), 1);
        fixture
            .run("begin; savepoint s; insert into item values (4, 'a'); rollback to s; insert into item values (5, 'b'); commit")
            .await;
        let announced = sleeper.announced().await;
        assert_eq!(announced.len(), 1);
        assert_eq!(announced[0][6]["id"], 5);
        fixture.run("begin; insert into item values (6, 'a'); rollback").await;
        fixture.run("insert into item values (7, repeat('x', 7500))").await;
        assert_eq!(sleeper.announced().await, [] as [Value; 0]);
        assert_eq!(fixture.lost().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_read_the_name_of_their_channel_can_listen_to_announcements() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "'name'")).await;
        let role = format!("stranger_{}", fixture.database.name);
        fixture
            .run(&format!("create role {role} login; grant insert on item to {role}"))
            .await;
        let mut sleeper = sleeper(&fixture.database).await;
        let mut stranger = Listener::of(&fixture.database.url_as(&role)).await;
        for refused in [
            "select channel from instant.announcement",
            "select instant.announce(1, now(), 'item', 'I', null, null)",
        ] {
            let error = stranger.client.batch_execute(refused).await.unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{refused}");
        }
        stranger.client.batch_execute("listen instant").await.unwrap();
        stranger
            .client
            .batch_execute("insert into item values (1, 'secret')")
            .await
            .unwrap();
        assert_eq!(stranger.announced().await, [] as [Value; 0]);
        assert_eq!(sleeper.announced().await[0][6]["name"], "secret");

        // The server shows what a session notifies to that session, if it asks.
        let show = "set client_min_messages = debug1; set trace_notify = on; insert into item values (3, 'a')";
        stranger.client.batch_execute(show).await.unwrap();
        assert_eq!(sleeper.announced().await.len(), 1);
        assert_eq!(stranger.announced().await, [] as [Value; 0]);
        let mut shown = Vec::new();
        while let Ok(text) = stranger.shown.try_recv() {
            shown.push(text);
        }
        assert!(shown.iter().any(|text| text.contains("Async_Notify(instant)")), "{shown:?}");
        assert!(!shown.iter().any(|text| text.contains("known")), "{shown:?}");

        // The control: who has the name hears the row.
        stranger.client.batch_execute("listen known").await.unwrap();
        fixture.run("insert into item values (2, 'secret')").await;
        assert_eq!(stranger.announced().await[0][6]["name"], "secret");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_announced_where_nobody_asks_for_it_or_the_queue_is_small() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "'name'")).await;
        let mut sleeper = sleeper(&fixture.database).await;
        fixture.run("update instant.announcement set channel = null").await;
        fixture.run("insert into item values (1, 'a')").await;
        assert_eq!(sleeper.announced().await, [] as [Value; 0]);
        assert_eq!(fixture.lost().await, 0);
    }
    for version in versions().into_iter().filter(|&version| version >= 17) {
        let database = database_with(version, &["max_notify_queue_pages=64"]).await;
        let fixture = Fixture::on(database, TABLE).await;
        fixture.apply(&watch("item", "'name'")).await;
        let mut sleeper = sleeper(&fixture.database).await;
        fixture.run("insert into item values (1, 'a')").await;
        assert_eq!(sleeper.announced().await, [] as [Value; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serializable_writers_do_not_depend_on_each_other_by_what_they_announce() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "'name'")).await;
        let mut sleeper = sleeper(&fixture.database).await;
        let (one, other) = (fixture.database.connect().await, fixture.database.connect().await);
        assert_eq!(beside_each_other(&one, &other, 0).await, None);
        assert_eq!(sleeper.announced().await.len(), 1);
        assert_eq!(sleeper.announced().await.len(), 1);

        // The control: a look at what was written.
        let look = "begin\n    perform from instant.outbox where xid = pg_current_xact_id();";
        replace(&fixture.client, "announce", "begin", look).await;
        let refused = beside_each_other(&one, &other, 10).await;
        assert_eq!(refused, Some(SqlState::T_R_SERIALIZATION_FAILURE));
    }
}

/// Interleaves two serializable transactions that write rows of their own; returns the code that one of them fails with.
async fn beside_each_other(one: &Client, other: &Client, first: i32) -> Option<SqlState> {
    let insert = |number: i32| format!("insert into item values ({}, 'a')", first + number);
    for client in [one, other] {
        client.batch_execute("begin isolation level serializable").await.unwrap();
    }
    let mut failed = None;
    for (number, client) in [one, other, one, other].into_iter().enumerate() {
        let written = client.batch_execute(&insert(i32::try_from(number).unwrap())).await;
        failed = failed.or(written.err());
    }
    for client in [one, other] {
        failed = failed.or(client.batch_execute("commit").await.err());
    }
    failed.map(|error| error.code().unwrap().clone())
}
