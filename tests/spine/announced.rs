//! Changes that arrive with the notification that wakes the relay. Each test has a cluster of its own: an open transaction in any
//! of its databases may cause ids that were skipped.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::Client;

use super::Stack;
use super::health::ask;
use crate::support::postgres::{self, free_port};
use crate::support::wait::{SOON, eventually};

/// An announced change is received within this time; one that must be read is not, as long as nothing can be read.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A watch, and a server for the metrics.
fn notes(port: u16) -> String {
    format!(
        "[[watch]]\nmodel = 'shop.Order'\nfields = ['number', 'notes']\n[[watch.rule]]\ntarget = 'public'\n\
         [server]\nlisten = '127.0.0.1:{port}'\n"
    )
}

/// A relay's metric of this name, with its labels.
pub(super) async fn counted(port: u16, name: &str) -> usize {
    let (_, metrics) = ask(port, "/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or("0").parse().unwrap()
}

/// Checks the number of publications sent: one sent twice under one key would be received once. The pause leaves time for that.
async fn sent(port: u16, publications: usize) {
    eventually(SOON, "all to be read", async || {
        (counted(port, "instant_changes_total").await == publications).then_some(())
    })
    .await;
    tokio::time::sleep(AT_ONCE / 4).await;
    let sent = counted(port, "instant_publish_lag_seconds_count{model=\"shop.Order\"}").await;
    assert_eq!(sent, publications);
}

/// Whether a session waits for the outbox of this database: clones of a database share object ids.
const WAITING: &str = "select count(*) from pg_locks where relation = 'instant.outbox'::regclass and mode = 'AccessExclusiveLock'
    and not granted and database = (select oid from pg_database where datname = current_database())";

/// Writes an order of this number while the relay sleeps, and from its commit on locks the outbox, so that nothing can be read. `None`
/// if it was not received by then.
async fn written_while_nothing_can_be_read(stack: &mut Stack, writer: &Client, number: &str, notes: &str) -> Option<Value> {
    eventually(SOON, "the relay sleeps", async || stack.sleeps().await.then_some(())).await;
    let locker = stack.django.database.connect().await;
    writer
        .batch_execute(&format!("begin; {}", insert(number, notes)))
        .await
        .unwrap();
    let lock = locker.batch_execute("begin; lock table instant.outbox in access exclusive mode");
    let commit = async {
        let waiting = async || (stack.count(WAITING).await == 1).then_some(());
        eventually(SOON, "the lock is waited for", waiting).await;
        writer.batch_execute("commit").await
    };
    let (held, committed) = tokio::join!(lock, commit);
    held.and(committed).unwrap();
    let heard = tokio::time::timeout(AT_ONCE, stack.public.next(SOON)).await.ok();
    locker.batch_execute("commit").await.unwrap();
    heard.map(|publication| publication.value())
}

fn insert(number: &str, notes: &str) -> String {
    format!("insert into shop_order (number, status, total, notes) values ('{number}', 'draft', 0, '{notes}')")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_change_is_published_before_it_is_read_and_once() {
    for version in postgres::versions() {
        let port = free_port();
        let mut stack = Stack::alone(version, &notes(port)).await;
        let writer = stack.django.database.connect().await;
        let mut announced = 0;
        for number in 0..10 {
            let number = number.to_string();
            let event = match written_while_nothing_can_be_read(&mut stack, &writer, &number, "short").await {
                Some(event) => {
                    announced += 1;
                    event
                }
                None => stack.public.next(SOON).await.value(),
            };
            assert_eq!(event["data"]["number"], number);
        }
        // The first ones are not, since the relay knows nothing of those before.
        assert!(announced > 1, "{announced} of 10");

        // The control: what is too large to be announced waits for the read.
        let large = "x".repeat(8_000);
        let heard = written_while_nothing_can_be_read(&mut stack, &writer, "large", &large).await;
        assert_eq!(heard, None);
        assert_eq!(stack.public.next(SOON).await.value()["data"]["number"], "large");
        sent(port, 11).await;
        // One that was announced may have been heard late.
        assert!(counted(port, "instant_announced_total").await >= announced);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_writers_beside_each_other_each_row_is_heard_in_order_and_once_whatever_is_announced() {
    for version in postgres::versions() {
        let port = free_port();
        let stack = Stack::alone(version, &notes(port)).await;
        in_order_and_once(stack, port).await;
    }
}

async fn in_order_and_once(mut stack: Stack, port: u16) {
    const ROUNDS: usize = 60;
    let database = &stack.django.database;
    let rows = ["a", "b", "c", "d"];
    let writers = rows.map(async |row| {
        let client = database.connect().await;
        client.batch_execute(&insert(row, "0")).await.unwrap();
        for round in 1..=ROUNDS {
            // Some are rolled back and leave a gap, and the relay falls asleep between them.
            let update = format!("update shop_order set notes = '{round}' where number = '{row}'");
            let undone = format!("begin; update shop_order set notes = 'never' where number = '{row}'; rollback");
            let script = if round % 7 == 0 {
                format!("{undone}; {update}")
            } else {
                update
            };
            client.batch_execute(&script).await.unwrap();
            tokio::time::sleep(Duration::from_millis(8)).await;
        }
    });
    futures_util::future::join_all(writers).await;
    let mut heard = rows.map(|_| 0);
    for _ in 0..rows.len() * (ROUNDS + 1) {
        let event = stack.public.next(SOON).await.value();
        let row = rows.iter().position(|row| event["data"]["number"] == *row).unwrap();
        assert_eq!(event["data"]["notes"], heard[row].to_string(), "{event}");
        heard[row] += 1;
    }
    assert_eq!(heard, [ROUNDS + 1; 4]);
    sent(port, rows.len() * (ROUNDS + 1)).await;
    let announced = counted(port, "instant_announced_total").await;
    assert!(announced > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_not_lost_although_another_was_announced_in_its_place() {
    for version in postgres::versions() {
        let mut stack = Stack::alone(version, &notes(free_port())).await;
        let writer = stack.django.database.connect().await;
        let mut forged = 0;
        for number in 0..10 {
            eventually(SOON, "the relay sleeps", async || stack.sleeps().await.then_some(())).await;
            let forge = "do $$ begin
                perform pg_notify(
                    (select channel from instant.announcement),
                    json_build_array('3', (select last_value + 1 from instant.outbox_id_seq), 0, 'public.shop_order', 'I', null,
                                     json_build_object('id', 0, 'number', 'forged', 'notes', ''))::text);
                end $$";
            let script = format!("begin; {forge}; {}; commit", insert(&number.to_string(), ""));
            writer.batch_execute(&script).await.unwrap();
            let mut event = stack.public.next(SOON).await.value();
            if event["data"]["number"] == "forged" {
                forged += 1;
                event = stack.public.next(SOON).await.value();
            }
            assert_eq!(event["data"]["number"], number.to_string());
        }
        assert!(forged > 1, "{forged} of 10");
    }
}
