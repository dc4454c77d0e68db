//! Thousands of connections at once.

use std::io::Write;
use std::time::Instant;

use crate::support::crowd::{Crowd, batch, open, post};
use crate::support::site::Site;
use crate::support::wait::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_are_held_and_hear_and_others_come_and_go() {
    let size = 10_000;
    // The test and the server have one for each connection.
    if descriptors() < size + 2_000 {
        let why = "skipped: the test needs 12,000 file descriptors; raise `ulimit -n`\n";
        std::io::stderr().write_all(why.as_bytes()).unwrap();
        return;
    }
    let hub = Site::on_hub(18, "").await;
    let mut crowd = Crowd::gather(&hub.centrifugo, size).await;
    let before = Instant::now();
    drop(open(hub.centrifugo.url.trim_start_matches("http://")).await);
    assert!(before.elapsed() < SOON, "one more comes in time");
    post(&hub.http, &hub.centrifugo, batch(3, |_| "public".to_owned())).await;
    crowd.heard(3 * size as u64).await;
    let slowest = std::iter::from_fn(|| crowd.latencies.try_recv().ok()).max();
    assert!(
        slowest.is_some_and(|slowest| u128::from(slowest) < SOON.as_micros()),
        "{slowest:?}"
    );
    let memory = hub.instant.memory();
    assert!(memory < 400 << 20, "{} MB", memory >> 20);
}

/// The limit on this process's open files.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    files.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}
