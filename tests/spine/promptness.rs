//! How soon a change is received, whatever the relay was doing when it was written: the safety poll would find each, but late.

use std::time::Duration;

use super::Stack;
use super::announced::counted;
use crate::support::postgres::{free_port, versions};

/// Far less than the time between two safety polls, which is 5 s.
const PROMPT: Duration = Duration::from_secs(3);

/// A random time of up to 30 ms, half of the time none.
async fn pause() {
    let milliseconds = if fastrand::bool() { 0 } else { fastrand::u64(0..=30) };
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_writes_at_random_distances_is_heard_long_before_a_safety_poll() {
    for version in versions() {
        let port = free_port();
        let mut stack = Stack::alone(version, &format!("[server]\nlisten = '127.0.0.1:{port}'\n")).await;
        let client = stack.django.database.connect().await;
        for number in 0..200 {
            // The relay may fall asleep before the transaction, beside it, or right behind it.
            let write = format!("begin; insert into shop_country (code, name) values ('{number}', '')");
            client.batch_execute(&write).await.unwrap();
            pause().await;
            client.batch_execute("commit").await.unwrap();
            let event = stack.public.next(PROMPT).await.value();
            assert_eq!(event["pk"], number.to_string(), "PostgreSQL {version}");
            pause().await;
        }
        let dozes = counted(port, "instant_dozes_total").await;
        assert!(dozes > 10, "PostgreSQL {version}: it fell asleep {dozes} times");
    }
}
