//! With prepared transactions possible, nothing notifies and the relay polls.

use std::time::Duration;

use serde_json::Value;

use super::{Stack, expect};
use crate::support::django::Django;
use crate::support::postgres::{Cluster, versions};

/// A relay that does not sleep detects a change within this time; one that waits for the safety poll in 5 s does not.
const PROMPT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_polls_hears_each_change_once_and_a_prepared_one_when_it_is_committed() {
    for version in versions() {
        let cluster = Cluster::start_new(version, &["max_prepared_transactions=10"]).await;
        let mut stack = Stack::on(Django::new(&cluster).await, "").await;
        let client = stack.django.database.connect().await;
        let write = |code: &str| format!("insert into shop_country (code, name) values ('{code}', '')");
        let prepared = format!("begin; {}; {}; prepare transaction 'two'", write("b"), write("c"));
        for (statement, heard) in [
            (write("a"), &["a"][..]),
            (prepared, &[]),
            (write("d"), &["d"]),
            (write("e"), &["e"]),
            ("commit prepared 'two'".to_owned(), &["b", "c"]),
            (write("f"), &["f"]),
        ] {
            client.batch_execute(&statement).await.unwrap();
            for code in heard {
                let event = stack.public.next(PROMPT).await.value();
                expect(&[event], &[("Country created", Value::from(*code))]);
            }
        }
        assert_eq!(stack.events("").await, [] as [Value; 0], "PostgreSQL {version}");
        assert!(!stack.sleeps().await);
    }
}
