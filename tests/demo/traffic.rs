//! `manage.py traffic`, while others work in the admin.

use crate::support::cache::{self, manifest};
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

/// The messages that show that it continues: one deed in ten is a message, and as many are orders.
const MESSAGES: i64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn the_traffic_goes_on_when_orders_are_deleted_and_nobody_is_a_customer_any_more() {
    let database = postgres::database(18).await;
    let environment = [("DATABASE_URL", &*database.url), ("PYTHONDONTWRITEBYTECODE", "1")];
    let manage = |words: &[&str]| {
        let words = [&["manage.py"][..], words].concat();
        Process::new(cache::path("python/bin/python"), &manifest("demo"), &words, &environment)
    };
    for command in ["migrate", "seed"] {
        let mut process = manage(&[command]);
        assert!(process.wait(SOON * 2).await.success(), "{}", process.output());
    }
    let (mut admin, onlooker) = (database.connect().await, database.connect().await);
    let deletion = admin.transaction().await.unwrap();
    deletion.batch_execute("delete from shop_order").await.unwrap();
    // Nothing listens there: its visits fail too.
    let mut traffic = manage(&["traffic", "http://127.0.0.1:1", "--pause", "0.01"]);
    eventually(SOON * 2, "an order that is moved while it is deleted", async || {
        let waiting = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        onlooker.query_opt(waiting, &[]).await.unwrap()
    })
    .await;
    deletion.batch_execute("update auth_user set is_staff = true").await.unwrap();
    deletion.commit().await.unwrap();
    let count = async || {
        let row = onlooker.query_one("select count(*) from chat_message", &[]).await.unwrap();
        row.get::<_, i64>(0)
    };
    let wanted = count().await + MESSAGES;
    eventually(SOON * 2, "further messages", async || {
        assert!(!traffic.has_ended(), "{}", traffic.output());
        (count().await >= wanted).then_some(())
    })
    .await;
}
