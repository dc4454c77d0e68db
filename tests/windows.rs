//! The window reader under random interleavings of concurrent transactions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use instant::outbox::{Leader, Reader};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use secrecy::SecretString;
use tokio::sync::watch;

use crate::outbox::schema;
use crate::support::postgres;

/// The rows that the writers compete for.
const ROWS: i32 = 5;

/// One transaction of a writer.
#[derive(Clone, Debug)]
struct Transaction {
    steps: Vec<Step>,
    commits: bool,
}

#[derive(Clone, Debug)]
enum Step {
    /// Counts a row up by one.
    Write(i32),
    /// Counts a row up inside a savepoint, which is rolled back or kept.
    Savepoint { row: i32, rolls_back: bool },
    /// Lets the others continue: the transaction becomes a long one.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..ROWS).prop_map(Step::Write),
        2 => (0..ROWS, any::<bool>()).prop_map(|(row, rolls_back)| Step::Savepoint { row, rolls_back }),
        2 => (0_u64..8).prop_map(Step::Wait),
    ]
}

fn scripts() -> impl Strategy<Value = Vec<Vec<Transaction>>> {
    let transaction = (prop::collection::vec(step(), 1..6), prop::bool::weighted(0.8))
        .prop_map(|(steps, commits)| Transaction { steps, commits });
    prop::collection::vec(prop::collection::vec(transaction, 1..16), 4..9)
}

/// The counts of each row that a reader received, in order.
type Received = BTreeMap<i32, Vec<i64>>;

/// A database with the schema, and a table whose every update writes its count to the outbox.
async fn counters(version: u32) -> postgres::Database {
    let database = postgres::database(version).await;
    let client = database.connect().await;
    client.batch_execute(&schema()).await.unwrap();
    client
        .batch_execute(&format!(
            "create table counter (id integer primary key, count bigint not null);
             insert into counter select id, 0 from generate_series(0, {ROWS} - 1) as id;
             create function capture() returns trigger language plpgsql as $$
             begin
                 insert into instant.outbox (source, op, new) values ('counter', 'U', row_to_json(new));
                 return null;
             end $$;
             create trigger capture after update on counter for each row execute function capture()"
        ))
        .await
        .unwrap();
    database
}

/// Runs one writer. A transaction that deadlocks is rolled back by PostgreSQL, and counts as that.
async fn write(url: String, script: Vec<Transaction>) {
    let client = postgres::connect(&url).await;
    let count = |row: i32| format!("update counter set count = count + 1 where id = {row}");
    for transaction in script {
        client.batch_execute("begin").await.unwrap();
        let mut failed = false;
        for step in transaction.steps {
            let done = match step {
                Step::Write(row) => client.batch_execute(&count(row)).await,
                Step::Savepoint { row, rolls_back } => {
                    let end = if rolls_back {
                        "rollback to inner_part"
                    } else {
                        "release inner_part"
                    };
                    client
                        .batch_execute(&format!("savepoint inner_part; {}; {end}", count(row)))
                        .await
                }
                Step::Wait(milliseconds) => {
                    client
                        .batch_execute(&format!("select pg_sleep({milliseconds} / 1000.0)"))
                        .await
                }
            };
            failed = done.is_err();
            if failed {
                break;
            }
        }
        let end = if transaction.commits && !failed {
            "commit"
        } else {
            "rollback"
        };
        client.batch_execute(end).await.unwrap();
    }
}

fn record(received: &mut Received, row: &str) {
    let row: serde_json::Value = serde_json::from_str(row).unwrap();
    let id = i32::try_from(row["id"].as_i64().unwrap()).unwrap();
    received.entry(id).or_default().push(row["count"].as_i64().unwrap());
}

/// Reads windows until the writers have ended and another window was read.
async fn windows(url: String, done: watch::Receiver<bool>) -> Received {
    let url = SecretString::from(url);
    let leader = Leader::elect(&url, None, || ()).await.unwrap();
    let mut reader = Reader::open(&url, leader.cursor().await.unwrap()).await.unwrap();
    let mut received = Received::new();
    loop {
        let was_done = *done.borrow();
        let mut page = reader.page().await.unwrap();
        let mut last = None;
        while let Some(row) = page.next().await.unwrap() {
            let change = row.change().unwrap();
            record(&mut received, change.new.unwrap());
            last = Some(change.id);
        }
        let ended = page.end(last).await.unwrap().is_some();
        if was_done && ended {
            return received;
        }
        tokio::task::yield_now().await;
    }
}

/// The control: what most outbox readers do, `id > cursor`.
async fn naive(url: String, done: watch::Receiver<bool>) -> Received {
    let client = postgres::connect(&url).await;
    let mut received = Received::new();
    let mut cursor = 0_i64;
    loop {
        let was_done = *done.borrow();
        let rows = client
            .query(
                "select id, new::text from instant.outbox where id > $1 order by id",
                &[&cursor],
            )
            .await
            .unwrap();
        for row in rows {
            cursor = row.get(0);
            record(&mut received, row.get(1));
        }
        if was_done {
            return received;
        }
        tokio::task::yield_now().await;
    }
}

/// Runs the writers concurrently with a reader. The committed counts of a row are 1, 2, … up to its count in the table now, since
/// each writer continues from the last committed one: a reader that received exactly these, in this order, lost nothing, got nothing
/// twice, and saw each row's changes in commit order. Returns the received and the committed counts.
async fn round<R>(
    version: u32,
    scripts: Vec<Vec<Transaction>>,
    read: impl FnOnce(String, watch::Receiver<bool>) -> R,
) -> (Received, Received)
where
    R: Future<Output = Received> + Send + 'static,
{
    let database = counters(version).await;
    let (end, done) = watch::channel(false);
    let reader = tokio::spawn(read(database.url.clone(), done));
    let writers: Vec<_> = scripts
        .into_iter()
        .map(|script| tokio::spawn(write(database.url.clone(), script)))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    end.send_replace(true);
    let received = tokio::time::timeout(Duration::from_mins(1), reader).await.unwrap().unwrap();
    let client = database.connect().await;
    let rows = client
        .query("select id, count from counter where count > 0", &[])
        .await
        .unwrap();
    let committed: Received = rows
        .iter()
        .map(|row| (row.get(0), (1..=row.get::<_, i64>(1)).collect()))
        .collect();
    (received, committed)
}

/// The failure message of a round whose reader received anything but the committed counts.
const NOT_THE_SAME: &str = "received and committed differ";

/// Tries this many rounds; returns the first that fails, with its transactions.
fn try_rounds<R>(
    version: u32,
    cases: u32,
    read: fn(String, watch::Receiver<bool>) -> R,
) -> Result<(), TestError<Vec<Vec<Transaction>>>>
where
    R: Future<Output = Received> + Send + 'static,
{
    let runtime = Arc::new(
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap(),
    );
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    TestRunner::new(config).run(&scripts(), |scripts| {
        let (received, committed) = runtime.block_on(round(version, scripts, read));
        prop_assert_eq!(received, committed, "{}", NOT_THE_SAME);
        Ok(())
    })
}

#[test]
fn windows_lose_nothing_repeat_nothing_and_keep_each_rows_order() {
    for version in postgres::versions() {
        if let Err(error) = try_rounds(version, 12, windows) {
            panic!("PostgreSQL {version}: {error}");
        }
    }
}

#[test]
fn the_control_reading_by_id_alone_fails_the_same_test() {
    match try_rounds(15, 40, naive) {
        Err(TestError::Fail(reason, _)) => assert!(reason.message().contains(NOT_THE_SAME), "{reason}"),
        other => panic!("{other:?}"),
    }
}
