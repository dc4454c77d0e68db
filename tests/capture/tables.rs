//! Partitions, inheritance, schemas and odd names.

use serde_json::json;

use super::fixture::{Fixture, watch};
use crate::support::postgres::versions;

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_every_partition_are_captured_and_a_move_is_a_delete_and_an_insert() {
    let sql = "create table part (id int, region text, primary key (region, id)) partition by list (region);
               create table part_a partition of part for values in ('a');
               create table part_b partition of part for values in ('b') partition by hash (id);
               create table part_b0 partition of part_b for values with (modulus 1, remainder 0)";
    for version in versions() {
        let toml = watch("part", "'id'");
        let fixture = Fixture::new(version, sql, &toml).await;
        fixture
            .run("insert into part values (1, 'a'); insert into part_b values (2, 'b')")
            .await;
        fixture.run("update part set region = 'b' where id = 1").await;
        fixture
            .run("create table part_c partition of part for values in ('c'); insert into part values (3, 'c')")
            .await;
        let changes = fixture.changes().await;
        assert_eq!(changes.iter().map(|change| change.op).collect::<String>(), "IIDII");
        assert!(changes.iter().all(|change| change.source == "public.part"));
        assert_eq!(changes[3].new_row(), json!({"region": "b", "id": 1}));
        assert!(fixture.plan(&toml).await.is_empty());
        fixture
            .run("alter table part detach partition part_c; insert into part_c values (4, 'c')")
            .await;
        assert_eq!(fixture.changes().await, []);
        assert!(fixture.plan(&toml).await.is_empty());
        fixture.run("alter table part_a disable trigger \"!instant\"").await;
        assert_eq!(fixture.apply(&toml).await, ["enable trigger \"!instant\" on public.part_a"]);
        assert!(fixture.plan(&toml).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_inherit_are_captured_each_by_its_nearest_watch() {
    let sql = "create table base (id int primary key, name text);
               create table child (extra int) inherits (base);
               create table grandchild (more int) inherits (child);
               create table other (id int primary key, name text);
               create table mixed () inherits (base, other)";
    for version in versions() {
        let toml = watch("base", "'name'") + &watch("child", "'name', 'extra'") + &watch("other", "'name'");
        let fixture = Fixture::new(version, sql, &toml).await;
        assert!(fixture.plan(&toml).await.is_empty());
        fixture
            .run("insert into base values (1); insert into child values (2); insert into grandchild values (3); insert into mixed values (4)")
            .await;
        let sources: Vec<_> = fixture.changes().await.into_iter().map(|change| change.source).collect();
        assert_eq!(sources, ["public.base", "public.child", "public.child", "public.base"]);
        fixture.run("update base set name = 'x'").await;
        assert_eq!(fixture.changes().await.len(), 4);
        fixture
            .run("create table late () inherits (base); insert into late values (5)")
            .await;
        assert_eq!(fixture.changes().await, []);
        let plan = fixture.plan(&toml).await;
        assert_eq!(plan.steps.len(), 2, "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fires_no_trigger_is_not_captured() {
    for version in versions() {
        let fixture = Fixture::new(
            version,
            "create table item (id int primary key, name text)",
            &watch("item", "'name'"),
        )
        .await;
        fixture.run("insert into item values (1, '7')").await;
        assert_eq!(fixture.change().await.op, 'I');
        for silent in [
            "set session_replication_role = replica; insert into item values (2, 'a'); set session_replication_role = origin",
            "alter table item disable trigger user; insert into item values (3, 'a'); alter table item enable trigger user",
            "alter table item alter column name type text using name || '!'",
            "alter table item add column more int default 5",
        ] {
            fixture.run(silent).await;
            assert_eq!(fixture.changes().await, [], "{silent}");
        }
        fixture.run("delete from item where id = 1").await;
        assert_eq!(fixture.change().await.old_row(), json!({"id": 1, "name": "7!"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_and_odd_names_are_told_apart() {
    let sql = "create schema a_b; create schema a; create schema \"My \"\"Schema\";
               create table a_b.c (id int primary key);
               create table a.b_c (id int primary key);
               create table \"My \"\"Schema\".\"Ta'ble $instant$ \\ 🦀\" (\"then\" int primary key, \"Na\"\"me\" text, \"lo\\op\" numeric, \"loop\" int)";
    let toml = "[[watch]]\ntable = 'a_b.c'\n[[watch.rule]]\ntarget = 'public'\n\
                [[watch]]\ntable = 'a.b_c'\n[[watch.rule]]\ntarget = 'public'\n\
                [[watch]]\ntable = '''\"My \"\"Schema\".\"Ta'ble $instant$ \\ 🦀\"'''\nfields = ['Na\"me', 'lo\\op', 'loop']\n\
                [[watch.rule]]\ntarget = 'public'\n";
    for version in versions() {
        let fixture = Fixture::new(version, sql, toml).await;
        assert!(fixture.plan(toml).await.is_empty());
        fixture.run("set standard_conforming_strings = off").await;
        fixture
            .run(
                "insert into a_b.c values (1); insert into a.b_c values (2);
                  insert into \"My \"\"Schema\".\"Ta'ble $instant$ \\ 🦀\" values (3, 'n', 1.50, 4)",
            )
            .await;
        let changes = fixture.changes().await;
        assert_eq!(changes[0].source, "a_b.c");
        assert_eq!(changes[1].source, "a.b_c");
        assert_eq!(changes[2].source, "My \"Schema.Ta'ble $instant$ \\ 🦀");
        assert_eq!(
            changes[2].new_row(),
            json!({"then": 3, "Na\"me": "n", "lo\\op": "1.50", "loop": 4})
        );
        fixture
            .run("alter table \"My \"\"Schema\".\"Ta'ble $instant$ \\ 🦀\" drop column \"loop\"")
            .await;
        fixture
            .run("update \"My \"\"Schema\".\"Ta'ble $instant$ \\ 🦀\" set \"lo\\op\" = 2.50")
            .await;
        assert_eq!(
            fixture.change().await.new_row(),
            json!({"then": 3, "Na\"me": "n", "lo\\op": "2.50"})
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_renamed_or_moved_is_still_captured_until_it_is_applied_again() {
    let sql = "create table item (id int primary key); create schema other";
    for version in versions() {
        let fixture = Fixture::new(version, sql, &watch("item", "")).await;
        fixture
            .run("alter table item rename to thing; alter table thing set schema other; insert into other.thing values (1)")
            .await;
        assert_eq!(fixture.change().await.source, "public.item");
        let toml = watch("other.thing", "");
        fixture.apply(&toml).await;
        assert!(fixture.plan(&toml).await.is_empty());
        fixture.run("insert into other.thing values (2)").await;
        assert_eq!(fixture.change().await.source, "other.thing");
        assert_eq!(
            fixture
                .one("select count(*) from pg_proc where proname like 'capture%'")
                .await,
            1
        );
    }
}
