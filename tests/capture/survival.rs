//! A write never fails and never waits because of Instant.

use std::time::{Duration, Instant};

use instant::capture::DOZE_LOCK;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::fixture::{Fixture, watch};
use crate::support::postgres::versions;

pub(super) const TABLE: &str =
    "create table item (id int primary key, name text, price numeric(12, 2), prices numeric[], other int)";
pub(super) const FIELDS: &str = "'name', 'price', 'prices', 'other'";

/// Faults of the outbox.
pub(super) const ATTACKS: [&str; 7] = [
    "drop table instant.outbox",
    "alter table instant.outbox rename column source to origin",
    "alter table instant.outbox add check (source <> 'public.item')",
    "alter table instant.outbox alter column id set maxvalue 2 restart 2; insert into instant.outbox (source, op) values ('x', 'I')",
    "alter table instant.outbox add column needed int not null",
    "alter table instant.outbox drop column new",
    "create function instant.refuse() returns trigger language plpgsql as $$ begin raise 'refused'; end $$;
     create trigger refuse before insert on instant.outbox for each row execute function instant.refuse()",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_under_a_pooled_session_costs_no_write_and_no_column_that_is_left() {
    let migrations = [
        (
            "drop column name",
            "other = 2",
            json!({"id": 1, "price": "1.50", "prices": ["1.10"], "other": 2}),
        ),
        (
            "rename column name to title",
            "title = 'b'",
            json!({"id": 1, "price": "1.50", "prices": ["1.10"], "other": 1}),
        ),
        (
            "alter column name type varchar(10)",
            "name = 'b'",
            json!({"id": 1, "name": "b", "price": "1.50", "prices": ["1.10"], "other": 1}),
        ),
        (
            "alter column other type text",
            "other = 'x'",
            json!({"id": 1, "name": "a", "price": "1.50", "prices": ["1.10"], "other": "x"}),
        ),
        (
            "alter column price type numeric(12, 4)",
            "other = 2",
            json!({"id": 1, "name": "a", "price": "1.5000", "prices": ["1.10"], "other": 2}),
        ),
        (
            "rename column id to pk",
            "other = 2",
            json!({"name": "a", "price": "1.50", "prices": ["1.10"], "other": 2}),
        ),
        (
            "add column extra int default 5",
            "other = 2",
            json!({"id": 1, "name": "a", "price": "1.50", "prices": ["1.10"], "other": 2}),
        ),
    ];
    for version in versions() {
        for (migration, assignment, expected) in &migrations {
            let fixture = Fixture::new(version, TABLE, &watch("item", FIELDS)).await;
            let insert = "insert into item values (1, 'a', 1.5, '{1.10}', 1)";
            // The session has planned the function's statements before the migration.
            fixture.run(insert).await;
            fixture.run("update item set other = 0; update item set other = 1").await;
            fixture.changes().await;
            fixture
                .database
                .connect()
                .await
                .batch_execute(&format!("alter table item {migration}"))
                .await
                .unwrap();
            fixture.run(&format!("update item set {assignment}")).await;
            let change = fixture.changes().await;
            let unheard = *migration == "rename column name to title";
            if unheard {
                assert_eq!(change, [], "{migration}: what was captured is as it was");
            } else {
                assert_eq!(change.len(), 1, "{migration}");
                assert_eq!(change[0].new_row(), *expected, "{migration}");
            }
            fixture.run(&format!("update item set {assignment}")).await;
            assert_eq!(fixture.changes().await, [], "{migration}: an update that changes nothing");
            fixture.run("delete from item").await;
            assert_eq!(fixture.change().await.op, 'D', "{migration}");
            assert_eq!(fixture.lost().await, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_outbox_costs_the_changes_and_never_the_write() {
    for version in versions() {
        for attack in ATTACKS {
            let fixture = Fixture::new(version, TABLE, &watch("item", FIELDS)).await;
            fixture.run("insert into item (id) values (1)").await;
            fixture.run("delete from instant.outbox").await;
            fixture.run(attack).await;
            fixture
                .run("begin; insert into item (id) values (2), (3); update item set other = 1; commit")
                .await;
            fixture.run("delete from item where id = 1").await;
            assert_eq!(fixture.one("select count(*) from item").await, 2, "{attack}");
            assert_eq!(fixture.lost().await, 6, "{attack}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn even_without_the_sequence_of_losses_a_write_goes_on() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", FIELDS)).await;
        fixture.run("drop table instant.outbox; drop sequence instant.lost").await;
        fixture.run("insert into item (id) values (1), (2)").await;
        fixture
            .run("drop table instant.relay; update item set other = 2; delete from item")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_were_revoked_cost_the_changes_and_never_the_write() {
    for version in versions() {
        let fixture = Fixture::without_watches(version, TABLE).await;
        let owner = format!("owner_{}", fixture.database.name);
        fixture
            .run(&format!(
                "create role {owner} login; grant create on database {} to {owner}; alter table item owner to {owner};
                 alter schema public owner to {owner}",
                fixture.database.name
            ))
            .await;
        let pool = sqlx::PgPool::connect(&fixture.database.url_as(&owner)).await.unwrap();
        let as_owner = Fixture {
            pool,
            client: fixture.database.connect().await,
            database: fixture.database,
        };
        as_owner.apply(&watch("item", FIELDS)).await;
        as_owner.run("insert into item (id) values (1)").await;
        assert_eq!(as_owner.changes().await.len(), 1);
        as_owner.run(&format!("revoke insert on instant.outbox from {owner}")).await;
        as_owner.run("insert into item (id) values (2)").await;
        assert_eq!(as_owner.lost().await, 1);
        as_owner
            .run(&format!(
                "grant insert on instant.outbox to {owner};
                 alter table instant.outbox enable row level security, force row level security"
            ))
            .await;
        as_owner.run("insert into item (id) values (4)").await;
        assert_eq!(as_owner.lost().await, 2, "no policy lets a row in");
        as_owner
            .run(&format!(
                "alter table instant.outbox disable row level security, no force row level security;
                 revoke all on instant.outbox from {owner}"
            ))
            .await;
        let plan = as_owner.plan(&watch("item", FIELDS)).await;
        assert_eq!(plan.steps.len(), 1, "{plan}");
        as_owner.apply(&watch("item", FIELDS)).await;
        as_owner.run("insert into item (id) values (3)").await;
        assert_eq!(as_owner.changes().await.len(), 1);
        // Where a relay sleeps, what was written is announced.
        let relay = as_owner.database.connect().await;
        relay.execute("select pg_advisory_lock($1)", &[&DOZE_LOCK]).await.unwrap();
        as_owner.run("insert into item (id) values (5)").await;
        assert_eq!(as_owner.changes().await.len(), 1);
        assert_eq!(as_owner.lost().await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_outbox_delays_a_transaction_once_and_briefly() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", FIELDS)).await;
        let locker = fixture.database.connect().await;
        locker
            .batch_execute("begin; lock table instant.outbox in access exclusive mode")
            .await
            .unwrap();
        let started = Instant::now();
        fixture
            .run("begin; insert into item (id) select n from generate_series(1, 20000) n; commit")
            .await;
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        locker.batch_execute("commit").await.unwrap();
        assert_eq!(fixture.lost().await, 20_000);
        fixture.run("delete from item where id = 1").await;
        assert_eq!(fixture.change().await.op, 'D');
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_sequence_of_losses_delays_a_transaction_once_and_briefly() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", FIELDS)).await;
        fixture.run("alter table instant.outbox rename to away").await;
        let locker = sequence_locker(&fixture).await;
        let started = Instant::now();
        fixture
            .run("begin; insert into item (id) select n from generate_series(1, 2000) n; update item set other = 1; commit")
            .await;
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        locker.batch_execute("rollback").await.unwrap();
        assert_eq!(fixture.lost().await, 0, "what could not be counted was given up");
        fixture.run("insert into item (id) values (0)").await;
        assert_eq!(fixture.lost().await, 1, "the next transaction counts again");
        let limit: String = fixture.client.query_one("show lock_timeout", &[]).await.unwrap().get(0);
        assert_eq!(limit, "0");
    }
}

/// A session whose open transaction has locked the sequence of losses.
pub(super) async fn sequence_locker(fixture: &Fixture) -> Client {
    let locker = fixture.database.connect().await;
    locker
        .batch_execute("begin; alter sequence instant.lost restart")
        .await
        .unwrap();
    locker
}

/// A transaction whose second row waits for the table of large values, which another session has locked.
pub(super) async fn waiting_row(fixture: &Fixture) -> (JoinHandle<Result<(), tokio_postgres::Error>>, Client) {
    let (writer, locker) = (fixture.database.connect().await, fixture.database.connect().await);
    writer.batch_execute("begin; insert into item (id) values (1)").await.unwrap();
    let toast = "select reltoastrelid::regclass::text from pg_class where oid = 'instant.outbox'::regclass";
    let toast: String = locker.query_one(toast, &[]).await.unwrap().get(0);
    locker.batch_execute(&format!("begin; reindex table {toast}")).await.unwrap();
    let row = "insert into item (id, name) select 2, string_agg(md5(n::text), '') from generate_series(1, 5000) n; commit";
    let row = tokio::spawn(async move { writer.batch_execute(row).await });
    (row, locker)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_waits_for_a_part_of_the_outbox_fails_no_write() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", FIELDS)).await;
        let (writer, locker) = waiting_row(&fixture).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!writer.is_finished(), "it waits");
        locker.batch_execute("commit").await.unwrap();
        writer.await.unwrap().unwrap();
        assert_eq!(fixture.changes().await.len(), 2);
        assert_eq!(fixture.lost().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_takes_no_page_of_the_outbox_for_which_a_write_would_have_to_wait() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", FIELDS)).await;
        fixture
            .run("insert into item (id) select n from generate_series(1, 20000) n")
            .await;
        fixture.run("delete from instant.outbox").await;
        let size = "select pg_relation_size('instant.outbox')";
        let before = fixture.one(size).await;
        fixture.run("vacuum instant.outbox").await;
        assert_eq!(fixture.one(size).await, before);
        fixture.run("vacuum (truncate) instant.outbox").await;
        assert_eq!(fixture.one(size).await, 0, "the control, by hand");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_inside_a_savepoint_is_forgotten_with_it() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", FIELDS)).await;
        let locker = fixture.database.connect().await;
        locker
            .batch_execute("begin; lock table instant.outbox in access exclusive mode")
            .await
            .unwrap();
        fixture
            .run("begin; savepoint a; insert into item (id) values (1); rollback to a")
            .await;
        locker.batch_execute("commit").await.unwrap();
        fixture.run("insert into item (id) values (2); commit").await;
        assert_eq!(fixture.change().await.new_row()["id"], 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_many_megabytes_is_captured() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "'name'")).await;
        fixture
            .run("insert into item (id, name) values (1, repeat('x', 8000000))")
            .await;
        assert_eq!(fixture.change().await.new_row()["name"].as_str().unwrap().len(), 8_000_000);
    }
}
