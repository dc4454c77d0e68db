//! Centrifugo fails on one channel, while all others can continue.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Stack;
use crate::support::client::Subscriber;
use crate::support::gateway::{Failure, Gateway};
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

const ROOMS: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'status', 'notes']
[[watch.rule]]
channel = 'room:{{ row.number }}'
data = ['status', 'notes']
";

/// The rooms, two for each lane on average.
const COUNT: usize = 16;
/// The room that Centrifugo fails on.
const FAILING: &str = "room:3";

/// The received states of each room, in order.
type Heard = BTreeMap<String, Vec<String>>;

/// A stack whose relay reaches Centrifugo through a gateway, and a subscriber to all rooms.
struct Rooms {
    stack: Stack,
    gateway: Gateway,
    subscriber: Subscriber,
    heard: Heard,
}

impl Rooms {
    async fn start() -> Self {
        let mut stack = Stack::start(15, ROOMS).await;
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        let gateway = Gateway::to(&stack.centrifugo.url).await;
        let file = stack.folder.path().join("instant.toml");
        let config = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, config.replace(&stack.centrifugo.url, &gateway.url)).unwrap();
        stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
        stack.relay.line("leading", SOON).await;
        let names: Vec<String> = (0..COUNT).map(|number| format!("room:{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let subscriber = Subscriber::anonymous(&stack.centrifugo, &names).await;
        Self {
            stack,
            gateway,
            subscriber,
            heard: Heard::new(),
        }
    }

    async fn write(&self, sql: &str) {
        self.stack.django.database.connect().await.batch_execute(sql).await.unwrap();
    }

    /// Three states of each room's order.
    async fn write_states(&self) {
        self.write(&format!(
            "insert into shop_order (number, status, total, notes) select n, 'a', 0, '' from generate_series(0, {COUNT} - 1) n"
        ))
        .await;
        for state in ["b", "c"] {
            self.write(&format!("update shop_order set status = '{state}'")).await;
        }
    }

    /// Receives until this many rooms have all three states, none of them twice or out of order.
    async fn hear(&mut self, rooms: usize) {
        while self.heard.values().filter(|states| states.len() == 3).count() < rooms {
            let publication = self.subscriber.next(SOON).await;
            let state = publication.value()["data"]["status"].as_str().unwrap().to_owned();
            let states = self.heard.entry(publication.channel).or_default();
            states.push(state);
            assert!(
                ["a", "b", "c"].starts_with(&states.iter().map(String::as_str).collect::<Vec<_>>()),
                "{states:?}"
            );
        }
    }

    /// Waits until the gateway has failed a publication three times: each key is retried.
    async fn retried(&self) {
        eventually(SOON, "attempts under the same key", async || {
            let failed = self.gateway.failed();
            failed
                .iter()
                .any(|key| failed.iter().filter(|other| *other == key).count() >= 3)
                .then_some(())
        })
        .await;
    }

    /// Restores the gateway; then each room is received, nothing was parked, and nothing arrives twice.
    async fn restored(&mut self) {
        self.gateway.restore();
        self.hear(COUNT).await;
        assert_eq!(self.stack.count("select count(*) from instant.dead_letter").await, 0);
        self.write("update shop_order set status = 'end'").await;
        for publication in self.subscriber.take(COUNT, SOON).await {
            assert_eq!(publication.value()["data"]["status"], "end", "{}", publication.channel);
        }
        // A key for each of its states and no more: a retry is no other publication.
        let keys: BTreeSet<_> = self.gateway.failed().into_iter().collect();
        assert!(keys.len() <= 3, "{keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_centrifugo_fails_on_holds_back_itself_alone_and_catches_up_under_the_same_keys() {
    let mut rooms = Rooms::start().await;
    rooms.gateway.fail_on(FAILING, Failure::Code(100));
    rooms.write_states().await;
    rooms.hear(COUNT - 1).await;
    assert!(!rooms.heard.contains_key(FAILING));
    rooms.retried().await;
    // The others go on with more than may be in flight: what waits holds no room but its own.
    rooms
        .write("insert into shop_order (number, status, total, notes) select 'long', 'a', 0, repeat('x', 300000) from generate_series(1, 60)")
        .await;
    let mut long = Subscriber::anonymous(&rooms.stack.centrifugo, &["room:long"]).await;
    rooms.write("update shop_order set notes = '' where number = 'long'").await;
    while long.next(SOON).await.value()["data"]["notes"] != "" {}
    rooms.write("delete from shop_order where number = 'long'").await;
    rooms.restored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_whole_because_of_one_channel_holds_its_lane_and_the_other_lanes_go_on() {
    for failure in [Failure::Status(500), Failure::HalfAnswer] {
        let mut rooms = Rooms::start().await;
        rooms.gateway.fail_on(FAILING, failure);
        rooms.write_states().await;
        // The lanes share the rooms evenly, and the one that is held up gets no other.
        rooms.hear(COUNT - 2).await;
        rooms.retried().await;
        rooms.restored().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_without_keys_hears_twice_what_was_done_and_not_answered() {
    let mut rooms = Rooms::start().await;
    rooms.gateway.drop_keys();
    rooms.gateway.fail_on(FAILING, Failure::HalfAnswer);
    rooms
        .write("insert into shop_order (number, status, total, notes) values ('3', 'a', 0, '')")
        .await;
    for publication in rooms.subscriber.take(2, SOON).await {
        assert_eq!(
            (publication.channel.as_str(), &publication.value()["data"]["status"]),
            (FAILING, &Value::from("a"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_behind_a_channel_that_fails_is_a_dead_letter_at_once() {
    let rooms = Rooms::start().await;
    rooms.gateway.fail_on(FAILING, Failure::Code(100));
    rooms
        .write("insert into shop_order (number, status, total, notes) values ('3', 'a', 0, '')")
        .await;
    rooms.retried().await;
    let cursor = "select count(*) from instant.outbox o, instant.relay r where not pg_visible_in_snapshot(o.xid, r.snapshot)";
    rooms
        .write("select instant.broadcast('x', channel => 'nowhere:at all')")
        .await;
    let reason: Value = eventually(SOON, "a dead letter", async || {
        let client = rooms.stack.django.database.connect().await;
        let row = client.query_opt("select reason from instant.dead_letter", &[]).await.unwrap();
        row.map(|row| Value::from(row.get::<_, String>(0)))
    })
    .await;
    assert_eq!(reason, "unknown channel");
    assert_eq!(rooms.stack.count(cursor).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_while_a_channel_waits_repeats_what_is_behind_it_under_the_same_keys_and_loses_nothing() {
    let mut rooms = Rooms::start().await;
    rooms.gateway.fail_on(FAILING, Failure::Code(100));
    rooms.write_states().await;
    rooms.hear(COUNT - 1).await;
    rooms.retried().await;
    let id = |key: &str| key.split('-').next().unwrap().parse::<i64>().unwrap();
    let waits = id(&rooms.gateway.failed()[0]);
    let behind: BTreeSet<String> = rooms.gateway.passed().into_iter().filter(|key| id(key) > waits).collect();
    assert!(behind.len() >= 2 * (COUNT - 1), "{behind:?}");
    rooms.stack.relay.signal("KILL").await;
    rooms.stack.relay.wait(SOON).await;
    rooms.stack.relay = Process::instant(rooms.stack.folder.path(), &["run"], &[]);
    eventually(SOON, "all of that once more", async || {
        let passed = rooms.gateway.passed();
        let times = |key: &String| passed.iter().filter(|other| *other == key).count();
        behind.iter().all(|key| times(key) >= 2).then_some(())
    })
    .await;
    rooms.restored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_request_that_is_refused_whole_one_publication_is_parked_with_the_reason_and_the_others_are_heard_once() {
    for status in [400, 413] {
        let mut rooms = Rooms::start().await;
        rooms.gateway.fail_on(FAILING, Failure::Status(status));
        // Forty for each of the others, and one for the room at fault amid them.
        let write = format!(
            "insert into shop_order (number, status, total, notes)
             select n % {COUNT}, n, 0, '' from generate_series(0, 40 * {COUNT} - 1) n where n % {COUNT} <> 3 or n = 20 * {COUNT} + 3"
        );
        rooms.write(&write).await;
        let mut heard: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for publication in rooms.subscriber.take(40 * (COUNT - 1), SOON).await {
            let number = publication.value()["data"]["status"].as_str().unwrap().parse().unwrap();
            heard.entry(publication.channel).or_default().push(number);
        }
        let numbers = |room: usize| (0..40).map(|turn| turn * COUNT + room).collect();
        let others = (0..COUNT).filter(|room| *room != 3);
        let wanted: BTreeMap<String, Vec<usize>> = others.map(|room| (format!("room:{room}"), numbers(room))).collect();
        assert_eq!(heard, wanted);
        let client = rooms.stack.django.database.connect().await;
        let letters = eventually(SOON, "the dead letter", async || {
            let letters = "select channel, event -> 'data' ->> 'status', code, reason from instant.dead_letter";
            let letters = client.query(letters, &[]).await.unwrap();
            (!letters.is_empty()).then_some(letters)
        })
        .await;
        let letter = &letters[0];
        assert_eq!((letters.len(), letter.get(0), letter.get(1)), (1, FAILING, "323"));
        let (code, reason): (i32, &str) = (letter.get(2), letter.get(3));
        assert!(code == 400 && reason.contains(&status.to_string()), "{code} {reason}");
        assert!(
            rooms.gateway.failed().len() > 1,
            "it was refused with others before it was refused alone"
        );
        // Nothing comes twice.
        rooms.gateway.restore();
        rooms
            .write(&format!(
                "insert into shop_order (number, status, total, notes) select n, 'end', 0, '' from generate_series(0, {COUNT} - 1) n"
            ))
            .await;
        for publication in rooms.subscriber.take(COUNT, SOON).await {
            assert_eq!(publication.value()["data"]["status"], "end", "{}", publication.channel);
        }
    }
}
