//! Text that is not UTF-8, which a database with the encoding `SQL_ASCII` may contain, and text that a database cannot contain.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::centrifugo::Centrifugo;
use crate::support::client::Subscriber;
use crate::support::gateway::{Failure, Gateway};
use crate::support::postgres::{self, Database};
use crate::support::process::{Process, instant};
use crate::support::wait::{SOON, eventually};

const RECORDS: &str = "
[[watch]]
table = 'record'
fields = ['title', 'artist_id']
related = { artist = { column = 'artist_id', fields = ['name'] } }
[[watch.rule]]
target = 'public'
message = '{{ row.title }}'
data = ['title', 'artist.name']
[[watch.rule]]
target = 'staff'
message = '{{ row.title + 1 }}'
[[watch]]
table = 'artist'
fields = ['name']
[[watch.rule]]
target = 'public'
message = '{{ row.name }}'
";

/// A rule whose channel is refused and whose message has characters that LATIN1 lacks, and one that works.
const ROOMS: &str = "
[[watch]]
table = 'record'
fields = ['room']
[[watch.rule]]
channel = 'room:{{ row.room.name }}'
message = 'Room {{ row.room.name }} costs 1 €'
[[watch.rule]]
target = 'public'
";

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_utf8_are_heard_as_such_and_what_comes_after_them_is_heard_too() {
    for version in postgres::versions() {
        let cluster = postgres::shared(version, &[]).await;
        let database = cluster
            .create("ascii", "template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'")
            .await;
        let client = database.connect().await;
        let tables = "create table artist (id int primary key, name text);
                      create table record (id int primary key, title text, artist_id int references artist)";
        client.batch_execute(tables).await.unwrap();
        let centrifugo = Centrifugo::start_new().await;
        let mut public = Subscriber::anonymous(&centrifugo, &["public"]).await;
        let _running = run(&database, &centrifugo, &centrifugo.url, RECORDS).await;
        for (statement, message) in [
            (r"insert into artist values (1, E'Bj\xf6rk')", "Bj\u{fffd}rk"),
            (r"insert into record values (1, E'caf\xe9', 1)", "caf\u{fffd}"),
            ("insert into record values (2, 'café', 1)", "café"),
        ] {
            client.batch_execute(statement).await.unwrap();
            let event = public.next(SOON).await.value();
            assert_eq!(event["message"], message, "{statement} {event}");
            if event["model"] == "record" {
                assert_eq!(event["data"]["title"], message);
                assert_eq!(event["data"]["artist"]["name"], "Bj\u{fffd}rk");
            }
        }
        let letters = eventually(SOON, "two dead letters", async || {
            let rows = client
                .query("select new::text from instant.dead_letter order by id", &[])
                .await
                .unwrap();
            (rows.len() == 2).then(|| rows.iter().map(|row| row.get(0)).collect::<Vec<String>>())
        })
        .await;
        assert!(
            letters[0].contains("caf\u{fffd}") && letters[1].contains("café"),
            "{letters:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_with_characters_that_the_database_does_not_know_is_parked_and_sent_again_as_it_was() {
    for version in postgres::versions() {
        let cluster = postgres::shared(version, &[]).await;
        let database = cluster
            .create("latin", "template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'")
            .await;
        park_and_retry(&database, "caf\u{e9} for 1 \u{20ac}", "caf? for 1 ?").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_whose_channel_holds_a_nul_is_parked_and_sent_again_to_that_channel() {
    for version in postgres::versions() {
        let database = postgres::database(version).await;
        park_and_retry(&database, "a\0b", "a?b").await;
    }
}

/// Centrifugo refuses a room, whose letter is parked with `stored` as its name while another rule's event arrives, and later accepts it.
async fn park_and_retry(database: &Database, room: &str, stored: &str) {
    let client = database.connect().await;
    let table = "create table record (id int generated always as identity primary key, room json)";
    client.batch_execute(table).await.unwrap();
    let centrifugo = Centrifugo::start_new().await;
    let gateway = Gateway::to(&centrifugo.url).await;
    let channel = format!("room:{room}");
    gateway.fail_on(&channel, Failure::Code(107));
    let mut public = Subscriber::anonymous(&centrifugo, &["public"]).await;
    let (folder, _relay) = run(database, &centrifugo, &gateway.url, ROOMS).await;
    let escaped: Vec<String> = room.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let insert = format!("insert into record (room) values ('{{\"name\": \"{}\"}}')", escaped.concat());
    client.batch_execute(&insert).await.unwrap();
    public.next(SOON).await;
    let id: i64 = eventually(SOON, "the dead letter", async || {
        let row = client.query_opt("select id from instant.dead_letter", &[]).await.unwrap();
        row.map(|row| row.get(0))
    })
    .await;
    let shown = instant(folder.path(), &["dead", "show", &id.to_string()], &[]).await;
    let letter: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(letter["channel"], format!("room:{stored}"));
    assert_eq!(letter["event"]["message"], format!("Room {room} costs 1 \u{20ac}"));
    gateway.restore();
    let retried = instant(folder.path(), &["dead", "retry", "--all"], &[]).await;
    assert!(retried.status.success(), "{}", String::from_utf8_lossy(&retried.stderr));
    let history = centrifugo.call("history", &json!({ "channel": channel, "limit": 10 })).await;
    assert_eq!(history["result"]["publications"][0]["data"], letter["event"], "{history}");
    client.batch_execute("insert into record default values").await.unwrap();
    public.next(SOON).await;
}

/// Applies and runs `watches`; the relay reaches Centrifugo at `url`.
async fn run(database: &Database, centrifugo: &Centrifugo, url: &str, watches: &str) -> (TempDir, Process) {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[database]\nurl = '{}'\n[centrifugo]\nurl = '{url}'\napi_key = '{}'\n{watches}",
        database.url, centrifugo.api_key
    );
    std::fs::write(folder.path().join("instant.toml"), config).unwrap();
    let applied = instant(folder.path(), &["apply"], &[]).await;
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let relay = Process::instant(folder.path(), &["run"], &[]);
    relay.line("leading", SOON).await;
    (folder, relay)
}
