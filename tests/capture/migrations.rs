//! Migrations of Instant's own tables while others write.

use std::time::{Duration, Instant};

use super::fixture::{Fixture, watch};
use crate::support::postgres::versions;
use crate::support::wait::{SOON, eventually};

const TABLE: &str = "create table item (id int primary key)";
/// Undoes what the migration creates.
const OLDER: &str = "delete from instant._sqlx_migrations where version = 8; alter table instant.outbox replica identity default";

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_waits_for_the_outbox_costs_no_change() {
    for version in versions() {
        let toml = watch("item", "");
        let fixture = Fixture::new(version, TABLE, &toml).await;
        fixture.run(OLDER).await;
        let busy = fixture.database.connect().await;
        busy.batch_execute("begin; insert into item values (0)").await.unwrap();
        let writes = async {
            let (begun, mut id) = (Instant::now(), 0);
            while begun.elapsed() < Duration::from_secs(1) {
                id += 1;
                fixture.run(&format!("insert into item values ({id})")).await;
            }
            let full = "select count(*) from pg_class where oid = 'instant.outbox'::regclass and relreplident = 'f'";
            assert_eq!(fixture.one(full).await, 0, "it waits");
            busy.batch_execute("commit").await.unwrap();
        };
        let (applied, ()) = tokio::join!(fixture.apply(&toml), writes);
        assert_eq!(applied, ["migrate schema instant"]);
        assert_eq!(fixture.lost().await, 0);
        let written = fixture.one("select count(*) from item").await;
        assert_eq!(i64::try_from(fixture.changes().await.len()).unwrap(), written);

        // The control: whoever waits for longer has the writes behind it given up.
        busy.batch_execute("begin; insert into item values (-1)").await.unwrap();
        let naive = fixture.database.connect().await;
        let naive = tokio::spawn(async move { naive.batch_execute("alter table instant.outbox replica identity full").await });
        let waits = "select count(*) from pg_locks where relation = 'instant.outbox'::regclass and not granted";
        eventually(SOON, "a migration that waits", async || {
            (fixture.one(waits).await == 1).then_some(())
        })
        .await;
        fixture.run("insert into item values (-2)").await;
        assert_eq!(fixture.lost().await, 1);
        busy.batch_execute("commit").await.unwrap();
        naive.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_of_the_outbox_does_not_keep_its_lock_until_it_is_recorded() {
    for version in versions() {
        let toml = watch("item", "");
        let fixture = Fixture::new(version, TABLE, &toml).await;
        fixture.run(OLDER).await;
        let slow = fixture.database.connect().await;
        slow.batch_execute("begin; lock table instant._sqlx_migrations in share mode")
            .await
            .unwrap();
        let write = async {
            let waits = "select count(*) from pg_locks where relation = 'instant._sqlx_migrations'::regclass and not granted";
            eventually(SOON, "a record that waits", async || {
                (fixture.one(waits).await == 1).then_some(())
            })
            .await;
            fixture.run("insert into item values (1)").await;
            slow.batch_execute("commit").await.unwrap();
        };
        let (applied, ()) = tokio::join!(fixture.apply(&toml), write);
        assert_eq!(applied, ["migrate schema instant"]);
        assert_eq!((fixture.lost().await, fixture.changes().await.len()), (0, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_publication_of_all_tables_every_row_of_ours_can_be_changed_and_removed() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "")).await;
        fixture.run("create publication everything for all tables").await;
        fixture.run("insert into item values (1)").await;
        let tables = "select relname::text from pg_class where relnamespace = 'instant'::regnamespace and relkind = 'r'";
        let tables = fixture.client.query(tables, &[]).await.unwrap();
        assert_eq!(tables.len(), 5);
        for table in tables {
            let table: String = table.get(0);
            fixture.run(&format!("begin; delete from instant.{table}; rollback")).await;
        }
        // The control.
        fixture.run(OLDER).await;
        let refused = fixture.refusal("delete from instant.outbox").await;
        assert_eq!(
            refused,
            Some(tokio_postgres::error::SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE)
        );
    }
}
