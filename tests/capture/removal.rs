//! `remove` leaves nothing of Instant's, and removes nothing else.

use instant::capture::{self, Error};

use super::fixture::{Fixture, config, watch};
use crate::support::postgres::versions;

const TABLES: &str = "create table item (id int primary key, name text);
    create table part (id int primary key) partition by hash (id);
    create table part_0 partition of part for values with (modulus 1, remainder 0);
    create table heir () inherits (item)";

/// Everything in a database, except the bodies of PostgreSQL's own objects.
const INVENTORY: &str = "select array(
    select 'class ' || oid::regclass || ' ' || coalesce(relacl::text, '') || relhastriggers from pg_class where oid >= 16384
    union all select 'function ' || oid::regprocedure from pg_proc where oid >= 16384
    union all select 'trigger ' || tgname || ' ' || tgrelid::regclass from pg_trigger
    union all select 'schema ' || nspname from pg_namespace
    union all select 'type ' || oid::regtype from pg_type where oid >= 16384
    union all select 'lock ' || locktype || mode from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
    union all select 'dependency ' || count(*) from pg_depend
    order by 1)";

async fn inventory(fixture: &Fixture) -> Vec<String> {
    let rows: Vec<String> = fixture.client.query_one(INVENTORY, &[]).await.unwrap().get(0);
    // A table remembers that it once had triggers until it is vacuumed.
    rows.into_iter()
        .map(|row| row.trim_end_matches("true").trim_end_matches("false").to_owned())
        .collect()
}

fn watches() -> String {
    watch("item", "'name'") + &watch("part", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_ours_is_left() {
    for version in versions() {
        let fixture = Fixture::without_watches(version, TABLES).await;
        let before = inventory(&fixture).await;
        fixture.apply(&watches()).await;
        fixture.run("insert into item values (1, 'a')").await;
        capture::remove(&fixture.pool, &config(""), &[], |_, _| ()).await.unwrap();
        assert_eq!(inventory(&fixture).await, before);
        fixture.run("insert into item values (2, 'a')").await;
        capture::remove(&fixture.pool, &config(""), &[], |_, _| ()).await.unwrap();
        fixture.apply(&watches()).await;
        fixture.run("insert into item values (3, 'a')").await;
        assert_eq!(fixture.changes().await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_built_on_the_schema_makes_it_refuse_before_anything_is_removed() {
    let built = [
        (
            "create view mine as select * from instant.outbox",
            "drop view mine",
            "view mine",
        ),
        (
            "create table instant.mine (id int)",
            "drop table instant.mine",
            "table instant.mine",
        ),
        (
            "create function instant.mine() returns int language sql return 1",
            "drop function instant.mine",
            "function instant.mine()",
        ),
        (
            "create function instant.broadcast(int) returns int language sql return 1",
            "drop function instant.broadcast(int)",
            "function instant.broadcast(integer)",
        ),
        (
            "create function mine() returns void language sql begin atomic select instant.broadcast('x'); end",
            "drop function mine",
            "function mine()",
        ),
        (
            "create type instant.mood as enum ('a')",
            "drop type instant.mood",
            "type instant.mood",
        ),
        (
            "create table mine (id bigint references instant.dead_letter)",
            "drop table mine",
            "constraint mine_id_fkey on table mine",
        ),
        (
            "create table mine (id bigint default nextval('instant.lost'))",
            "drop table mine",
            "default value for column id of table mine",
        ),
        (
            "create table mine (row instant.outbox)",
            "drop table mine",
            "column row of table mine",
        ),
        (
            "create function mine(instant.relay) returns int language sql return 1",
            "drop function mine",
            "function mine(instant.relay)",
        ),
        (
            "create function mine() returns bigint language sql begin atomic select count(*) from instant.outbox; end",
            "drop function mine",
            "function mine()",
        ),
    ];
    for version in versions() {
        let fixture = Fixture::new(version, TABLES, &watches()).await;
        for (create, drop, name) in built {
            fixture.run(create).await;
            let error = capture::remove(&fixture.pool, &config(""), &[], |_, _| ())
                .await
                .expect_err(create);
            let Error::Needed(objects) = &error else {
                panic!("{create}: {error}")
            };
            assert!(objects.iter().any(|object| object.contains(name)), "{create}: {objects:?}");
            assert!(fixture.plan(&watches()).await.is_empty(), "{create}");
            fixture.run(drop).await;
        }
        capture::remove(&fixture.pool, &config(""), &[], |_, _| ()).await.unwrap();
    }
}
