//! How `apply` handles tables that were swapped, retyped or partitioned.

use std::time::{Duration, Instant};

use super::fixture::{Fixture, watch};
use super::survival::sequence_locker;
use crate::support::postgres::versions;

const TABLE: &str = "create table item (id int primary key, name text); create table thing (id int primary key)";

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_closes_a_gap_counts_a_loss_and_one_that_closes_none_does_not() {
    let parts = "create table part (id int primary key) partition by hash (id);
                 create table part_0 partition of part for values with (modulus 1, remainder 0)";
    let gaps = [
        ("alter table item disable trigger \"!instant\"", 1),
        ("alter table item disable trigger user", 1),
        ("drop trigger \"!instant\" on item", 1),
        (
            "create or replace trigger \"!instant\" after insert on item for each row execute function instant.capture_public_item()",
            1,
        ),
        ("drop table item; create table item (id int primary key, name text)", 1),
        (
            "create table fresh (like item including all); insert into fresh select * from item;
             alter table item rename to former; alter table fresh rename to item",
            1,
        ),
        ("alter table part_0 disable trigger \"!instant\"", 1),
        // No rule hears of it.
        ("alter table item disable trigger \"!instant_truncate\"", 0),
        ("grant execute on function instant.capture_public_item() to public", 0),
    ];
    for version in versions() {
        let toml = watch("item", "") + &watch("part", "");
        let fixture = Fixture::new(version, &format!("{TABLE}; {parts}"), &toml).await;
        let toml = watch("item", "'name'") + &watch("part", "") + &watch("thing", "");
        fixture.apply(&toml).await;
        assert_eq!(fixture.lost().await, 0, "a first apply, a new rule, a new watch");
        let mut lost = 0;
        for (gap, counted) in gaps {
            fixture.run(gap).await;
            let plan = fixture.plan(&toml).await;
            assert_eq!(plan.to_string().contains("counts a loss"), counted == 1, "{gap}: {plan}");
            fixture.apply(&toml).await;
            lost += counted;
            assert_eq!(fixture.lost().await, lost, "{gap}");
            assert!(fixture.plan(&toml).await.is_empty(), "{gap}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_cannot_be_counted_stays_open() {
    for version in versions() {
        let toml = watch("item", "");
        let fixture = Fixture::new(version, TABLE, &toml).await;
        fixture
            .run("drop trigger \"!instant\" on item; alter sequence instant.lost maxvalue 1; select setval('instant.lost', 1)")
            .await;
        let (config, watches) = (super::fixture::config(&toml), fixture.watches(&toml).await);
        let apply = async || instant::capture::apply(&fixture.pool, &config, &watches, |_, _| ()).await;
        apply().await.unwrap_err();
        assert_eq!(fixture.plan(&toml).await.steps.len(), 1);
        fixture.run("alter sequence instant.lost no maxvalue").await;
        apply().await.unwrap();
        assert_eq!(fixture.lost().await, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_waits_to_count_a_gap_keeps_no_writer_waiting() {
    for version in versions() {
        let toml = watch("item", "");
        let fixture = Fixture::new(version, TABLE, &toml).await;
        fixture.run("drop trigger \"!instant\" on item").await;
        let locker = sequence_locker(&fixture).await;
        let writes = async {
            let (begun, mut id, mut longest) = (Instant::now(), 0, Duration::ZERO);
            while begun.elapsed() < Duration::from_secs(4) {
                id += 1;
                let started = Instant::now();
                fixture.run(&format!("insert into item values ({id}, '')")).await;
                longest = longest.max(started.elapsed());
            }
            locker.batch_execute("rollback").await.unwrap();
            longest
        };
        let (applied, longest) = tokio::join!(fixture.apply(&toml), writes);
        assert_eq!(applied, ["create trigger \"!instant\" on public.item"]);
        assert!(longest < Duration::from_secs(1), "a write took {longest:?}");
        assert_eq!(fixture.lost().await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_table_that_becomes_a_partition_is_captured_through_its_parent() {
    let split = "alter table item rename to item_p0;
                 create table item (id int primary key, name text) partition by range (id);
                 alter table item attach partition item_p0 for values from (0) to (100);
                 create table item_p1 partition of item for values from (100) to (200)";
    for version in versions() {
        let toml = watch("item", "'name'");
        let fixture = Fixture::new(version, TABLE, &toml).await;
        fixture.run(split).await;
        assert_eq!(
            fixture.apply(&toml).await,
            [
                "create trigger \"!instant\" on public.item",
                "create trigger \"!instant_truncate\" on public.item",
                "drop trigger \"!instant_truncate\" on public.item_p0",
            ]
        );
        let plan = fixture.plan(&toml).await;
        assert!(plan.is_empty(), "{plan}");
        fixture
            .run("insert into item values (1, 'a'), (101, 'b'); insert into item_p0 values (2, 'c')")
            .await;
        let changes = fixture.changes().await;
        assert_eq!(changes.len(), 3);
        assert!(changes.iter().all(|change| change.source == "public.item"));
        assert_eq!(fixture.lost().await, 1, "what was written to the other partition before");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retyped_column_is_drift_whose_fix_takes_pooled_sessions_off_the_fallback() {
    let table = "create table item (id int primary key, number int, name varchar(10), at timestamp)";
    for version in versions() {
        for retype in [
            "number type bigint",
            "name type text",
            "at type timestamptz",
            "id type bigint",
        ] {
            let toml = watch("item", "'number', 'name', 'at'");
            let fixture = Fixture::new(version, table, &toml).await;
            // The session plans the function's statements.
            fixture.run("insert into item values (1, 1, 'a', '2026-01-01')").await;
            fixture.run("update item set number = 2; update item set number = 3").await;
            fixture.changes().await;
            let admin = fixture.database.connect().await;
            admin
                .batch_execute(&format!("alter table item alter column {retype}"))
                .await
                .unwrap();
            let update = async |number: i32| {
                fixture.run(&format!("update item set number = {number}")).await;
                fixture.change().await.new.unwrap()
            };
            // `json_object_agg`, which the fallback calls, writes a space there.
            for number in [4, 5] {
                assert!(update(number).await.starts_with("{ \"id\""), "{retype}: the control");
            }
            assert_eq!(
                fixture.apply(&toml).await,
                ["replace function instant.\"capture_public_item\"()"],
                "{retype}"
            );
            let new = update(6).await;
            assert!(new.starts_with("{\"id\""), "{retype}: {new}");
            assert!(fixture.plan(&toml).await.is_empty());
            assert_eq!(fixture.lost().await, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_has_one_name_whatever_the_search_path_and_however_odd_it_is() {
    let sql = "create schema other; create type other.mood as enum ('a'); create type \"o;\ndd\" as enum ('a');
               create table item (id int primary key, mood other.mood, moods other.mood[], odd \"o;\ndd\", size numeric(4, 2))";
    for version in versions() {
        let toml = watch("item", "'mood', 'moods', 'odd', 'size'");
        let fixture = Fixture::new(version, sql, &toml).await;
        let name = &fixture.database.name;
        fixture
            .run(&format!("alter database {name} set search_path = other, public"))
            .await;
        let pool = sqlx::PgPool::connect(&fixture.database.url).await.unwrap();
        let config = super::fixture::config(&toml);
        let watches = instant::capture::resolve(&pool, &config).await.unwrap().watches;
        let plan = instant::capture::plan(&pool, &config, &watches).await.unwrap();
        assert!(plan.is_empty(), "{plan}");
        fixture.run("alter table item alter size type numeric(6, 3)").await;
        let plan = fixture.plan(&toml).await;
        assert!(plan.is_empty(), "a precision is no other type: {plan}");
        fixture.run("insert into item values (1, 'a', '{a}', 'a', 1)").await;
        assert_eq!(fixture.change().await.op, 'I');
    }
}
