//! How PostgreSQL reads a window.

use tokio_postgres::Client;

use super::{Outbox, rest};
use crate::support::postgres::{database_with, versions};

/// The process id of a session.
async fn process(client: &Client, name: &str) -> i32 {
    let query = "select pid from pg_stat_activity where application_name = $1 and datname = current_database()";
    client.query_one(query, &[&name]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_window_is_read_by_a_parallel_plan_whatever_the_database_prefers() {
    for version in versions() {
        // From this level on the server tells of each worker it starts.
        let outbox = Outbox::on(database_with(version, &["log_min_messages=debug1"]).await).await;
        let always = if version >= 16 {
            "debug_parallel_query"
        } else {
            "force_parallel_mode"
        };
        let name = &outbox.database.name;
        outbox.run(&format!("alter database {name} set {always} = on")).await;
        let helped = |process: i32| {
            outbox
                .database
                .cluster
                .log()
                .contains(&format!("parallel worker for PID {process}\""))
        };

        let leader = outbox.leader().await;
        let mut reader = outbox.reader(&leader).await;
        outbox.write(5_000).await;
        assert_eq!(rest(&mut reader).await.len(), 5_000);
        assert_eq!(rest(&mut reader).await.len(), 0);
        for session in ["instant reader", "instant leader"] {
            assert!(
                !helped(process(&outbox.client, session).await),
                "PostgreSQL {version}: {session}"
            );
        }

        // The control: a session that pins nothing.
        let plain = outbox.database.connect().await;
        plain.batch_execute("set application_name = 'plain'").await.unwrap();
        let window = "select id from instant.outbox where xid >= pg_snapshot_xmax('3:3:'::pg_snapshot) order by id limit 1000";
        plain.query(window, &[]).await.unwrap();
        assert!(
            helped(process(&outbox.client, "plain").await),
            "PostgreSQL {version}: {}",
            outbox.database.cluster.log()
        );
    }
}
