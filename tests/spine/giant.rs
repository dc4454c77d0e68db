//! Transactions of more changes than a page, which are read through a held cursor.

use tokio_postgres::error::SqlState;

use super::{ORDERS, Stack};
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_giant_transaction_passes_where_postgresql_may_write_no_large_temporary_files() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, ORDERS).await;
        let name = &stack.django.database.name;
        let client = stack.django.database.connect().await;
        client
            .batch_execute(&format!("alter database {name} set temp_file_limit = '1MB'"))
            .await
            .unwrap();
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        // The limit is reached by the changes, not by their places.
        client
            .batch_execute(
                "set temp_file_limit = -1;
                 insert into shop_order (number, status, total, notes) select i, 'new', i, '' from generate_series(1, 40000) as i",
            )
            .await
            .unwrap();
        stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
        for number in 1..=40_000 {
            let event = stack.public.next(SOON).await.value();
            assert_eq!(event["data"]["number"], number.to_string());
        }
        assert!(stack.events("pass").await.is_empty());

        // The control: a cursor that holds whole changes.
        let held = "begin; declare whole cursor with hold for select * from instant.outbox order by id; commit";
        let refused = stack.django.database.connect().await.batch_execute(held).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::CONFIGURATION_LIMIT_EXCEEDED));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_of_the_outbox_amid_a_giant_transaction_loses_nothing_and_keeps_the_order() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, ORDERS).await;
        let client = stack.django.database.connect().await;
        // In the opposite order every row is in another place.
        client
            .batch_execute("create index backwards on instant.outbox (id desc)")
            .await
            .unwrap();

        // The relay reads as much as may be in flight, and the rest of it lies in the cursor.
        stack.centrifugo.signal("STOP").await;
        let many =
            "insert into shop_order (number, status, total, notes) select i, 'new', i, '' from generate_series(1, 40000) as i";
        client.batch_execute(many).await.unwrap();
        eventually(SOON, "a page at its places", async || {
            let asked =
                "select count(*) from pg_stat_activity where application_name = 'instant reader' and query like '%ctid = any%'
                         and datname = current_database()";
            (stack.count(asked).await == 1).then_some(())
        })
        .await;
        client.batch_execute("cluster instant.outbox using backwards").await.unwrap();
        stack.centrifugo.signal("CONT").await;
        stack.relay.line("are no longer where they were", SOON).await;
        for number in 1..=40_000 {
            let event = stack.public.next(SOON).await.value();
            assert_eq!(event["data"]["number"], number.to_string(), "PostgreSQL {version}");
        }
        assert!(stack.events("pass").await.is_empty());
    }
}
