//! Writers at a fixed pace.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::contestant::API_KEY;
use crate::latency::ORDERS;
use crate::support::centrifugo::Centrifugo;
use crate::support::crowd::{MARK, micros};
use crate::support::postgres::Database;

/// The maximum number of connections.
const WRITERS: u32 = 16;
/// The commits per second of one connection, before another is opened.
const EACH: u32 = 50;

/// Numbers the commits of all contestants.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A commit that a client will receive, or has received: its number, and the time in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commit {
    pub(crate) number: u64,
    pub(crate) at: u64,
}

/// The next number, and the text by which a client recognizes it.
pub(crate) fn mark() -> (u64, String) {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    (number, format!("{}{number:016} ", char::from(MARK)))
}

/// Updates orders, one per commit; returns when their writers learned of the commits.
pub(crate) async fn write(database: &Database, rate: u32, duration: Duration) -> Vec<Commit> {
    paced(rate, duration, async |mut ticks: Ticks| {
        let client = database.connect().await;
        let statement = "update bench_order set status = $1, updated_at = now() where id = $2";
        let statement = client.prepare(statement).await.unwrap();
        // A session's first write, for which it compiles the trigger's function, does not count.
        client.execute(&statement, &[&mark().1, &1_i64]).await.unwrap();
        let mut commits = Vec::new();
        while ticks.next().await {
            let (number, mark) = mark();
            let order = i64::try_from(number % ORDERS + 1).unwrap();
            client.execute(&statement, &[&mark, &order]).await.unwrap();
            commits.push(Commit { number, at: micros() });
        }
        commits
    })
    .await
}

/// Publishes the same events without a database; returns when the requests were sent.
pub(crate) async fn publish(server: &Centrifugo, rate: u32, duration: Duration) -> Vec<Commit> {
    let http = reqwest::Client::new();
    let url = format!("{}/api/publish", server.url);
    paced(rate, duration, async |mut ticks: Ticks| {
        let mut commits = Vec::new();
        while ticks.next().await {
            let (number, mark) = mark();
            let body = format!(
                r#"{{"channel":"public","data":{{"event_class":"order_changed","message":"Your order has changed","channel":"public","site":"Shop","data":{{"status":"{mark}","total":"12.50","customer_id":17}},"id":"{number}","at":"2026-11-24T12:00:00.000000Z","model":"bench_order","op":"update","pk":17}}}}"#
            );
            let at = micros();
            let request = http.post(&url).header("X-API-Key", API_KEY).body(body);
            request.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
            commits.push(Commit { number, at });
        }
        commits
    })
    .await
}

/// One writer's share of the pace.
struct Ticks {
    ticks: tokio::time::Interval,
    end: Instant,
}

impl Ticks {
    /// Waits for the next tick; false when the time is over.
    async fn next(&mut self) -> bool {
        self.ticks.tick().await < self.end
    }
}

/// Runs writers side by side, each offset by a part of an interval from the previous one. A writer that is late catches up.
async fn paced(rate: u32, duration: Duration, writer: impl AsyncFn(Ticks) -> Vec<Commit>) -> Vec<Commit> {
    let writers = rate.div_ceil(EACH).min(WRITERS);
    let each = Duration::from_secs(1) * writers / rate;
    let begin = Instant::now() + Duration::from_millis(200);
    let working = (0..writers).map(|number| {
        let mut ticks = interval_at(begin + each * number / writers, each);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        writer(Ticks {
            ticks,
            end: begin + duration,
        })
    });
    futures_util::future::join_all(working).await.into_iter().flatten().collect()
}
