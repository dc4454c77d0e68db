//! What a write adds to the outbox.

use std::fmt::Write;

use serde_json::{Value, json};

use super::fixture::{Fixture, watch};
use crate::support::postgres::{Cluster, versions};

pub(super) const TABLE: &str = "create table item (id bigint primary key, name text, price numeric(12, 4), note text)";

#[tokio::test(flavor = "multi_thread")]
async fn insert_and_update_carry_the_new_row_and_delete_the_old_one() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "'name', 'price'")).await;
        fixture.run("insert into item values (1, 'a', 1.5)").await;
        fixture.run("update item set name = 'b'").await;
        fixture.run("delete from item").await;
        let changes = fixture.changes().await;
        assert_eq!(changes.iter().map(|change| change.op).collect::<String>(), "IUD");
        assert_eq!(changes[0].new_row(), json!({"id": 1, "name": "a", "price": "1.5000"}));
        assert_eq!(changes[0].old, None);
        assert_eq!(changes[1].new_row(), json!({"id": 1, "name": "b", "price": "1.5000"}));
        assert_eq!(changes[1].old, None);
        assert_eq!(changes[2].new, None);
        assert_eq!(changes[2].old_row(), json!({"id": 1, "name": "b", "price": "1.5000"}));
        assert_eq!(changes[0].source, "public.item");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_changes_no_captured_column_writes_nothing() {
    for version in versions() {
        let fixture = Fixture::without_watches(version, "").await;
        // Not every build of PostgreSQL has libxml.
        let has_xml = fixture.client.batch_execute("select '<a/>'::xml").await.is_ok();
        let (kind, page) = if has_xml { ("xml", "<a/>") } else { ("json", "[1]") };
        fixture
            .run(&format!(
                "create table item (id bigint primary key, name text, price numeric, doc json, page {kind}, place point, note text);
                 insert into item values (1, 'a', 1.0, '{{\"a\": 1}}', '{page}', '(1,2)', 'n')"
            ))
            .await;
        let toml = watch("item", "'name', 'price', 'doc', 'page', 'place'");
        fixture.apply(&toml).await;
        fixture.run("update item set note = 'other'").await;
        fixture
            .run("update item set name = 'a', doc = '{\"a\": 1}', place = '(1,2)'")
            .await;
        assert_eq!(fixture.changes().await, []);
        fixture.run("update item set price = 1.00").await;
        assert_eq!(fixture.change().await.new_row()["price"], "1.00");
        fixture.run("update item set doc = '{\"a\":1}'").await;
        assert_eq!(fixture.change().await.op, 'U');
        fixture.run("update item set page = null, place = '(1,3)'").await;
        assert_eq!(fixture.change().await.new_row()["place"], "(1,3)");
        fixture.run(&format!("update item set page = '{page}'")).await;
        assert_eq!(fixture.change().await.op, 'U');
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_fields_any_change_of_the_row_counts_and_the_key_alone_is_captured() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "")).await;
        fixture.run("insert into item values (1, 'a', 1.0)").await;
        fixture.run("update item set note = 'n'").await;
        fixture.run("update item set note = 'n'").await;
        fixture.run("update item set price = 1.00").await;
        let changes = fixture.changes().await;
        assert_eq!(changes.iter().map(|change| change.op).collect::<String>(), "IU");
        assert!(changes.iter().all(|change| change.new_row() == json!({"id": 1})));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_carries_only_those_old_values_that_a_rule_reads() {
    let toml = "[[watch]]\ntable = 'item'\nfields = ['name', 'price', 'note']\n\
                [[watch.rule]]\ntarget = 'public'\non = 'update'\nchanged = 'price'\nwhen = \"old.name != row.name\"\n";
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, toml).await;
        fixture.run("insert into item values (1, 'a', 1.0, 'n')").await;
        fixture.run("update item set name = 'b', note = 'm'").await;
        fixture.run("delete from item").await;
        fixture.run("truncate item").await;
        let change = fixture.change().await;
        assert_eq!((change.op, change.old_row()), ('U', json!({"name": "a", "price": "1.0000"})));
        assert_eq!(
            change.new_row(),
            json!({"id": 1, "name": "b", "price": "1.0000", "note": "m"})
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncate_is_captured_only_where_a_rule_hears_it() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "")).await;
        fixture.run("truncate item").await;
        assert_eq!(fixture.changes().await, []);
        let toml = "[[watch]]\ntable = 'item'\n[[watch.rule]]\ntarget = 'public'\non = ['insert', 'truncate']\n";
        fixture.apply(toml).await;
        fixture.run("truncate item").await;
        let change = fixture.change().await;
        assert_eq!((change.op, change.old, change.new), ('T', None, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_savepoint_leaves_neither_its_change_nor_a_wrong_memory() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "'name'")).await;
        fixture
            .run(
                "begin;
                 savepoint a; insert into item values (1, 'gone'); rollback to a;
                 insert into item values (2, 'kept');
                 savepoint b; insert into item values (3, 'gone'); rollback to b;
                 savepoint c; insert into item values (4, 'kept'); release c;
                 commit",
            )
            .await;
        let ids: Vec<_> = fixture
            .changes()
            .await
            .iter()
            .map(|change| change.new_row()["id"].clone())
            .collect();
        assert_eq!(ids, [2, 4]);
        fixture.run("begin; insert into item values (9, 'gone'); rollback").await;
        assert_eq!(fixture.changes().await, []);
        assert_eq!(fixture.lost().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_takes_one_number_of_its_own_however_many_rows_it_writes() {
    for version in versions() {
        // Of its own, and without a vacuum that would take numbers beside it: these are the whole cluster's.
        let cluster = Cluster::start_new(version, &["autovacuum=off"]).await;
        let fixture = Fixture::on(cluster.database().await, TABLE).await;
        fixture.apply(&watch("item", "'name'")).await;
        fixture
            .run("begin; insert into item select n, 'a' from generate_series(1, 5000) n; commit")
            .await;
        let before = fixture.one("select pg_current_xact_id()::text::bigint").await;
        fixture.run("begin; update item set name = 'b'; commit").await;
        let after = fixture.one("select pg_current_xact_id()::text::bigint").await;
        // Its own, that of the guard around its first change, and the one of the question.
        assert_eq!(after - before, 3);
        assert_eq!(fixture.changes().await.len(), 10_000);
    }
}

/// An application's trigger that updates its own row. A name that begins with a space sorts before ours, and no other does.
pub(super) const TOUCH: &str = "
    create function touch() returns trigger language plpgsql as $$
    begin
        if new.note is distinct from 'touched' then update item set note = 'touched' where id = new.id; end if;
        return null;
    end $$;
    create trigger \"0_first\" after insert or update on item for each row execute function touch()";

/// What is captured of a row that is inserted as `new`, in order.
pub(super) async fn touched(fixture: &Fixture) -> Vec<Value> {
    fixture.run("insert into item values (1, 'a', 1, 'new')").await;
    let changes = fixture.changes().await;
    changes.iter().map(|change| change.new_row()["note"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applications_trigger_that_updates_its_own_row_keeps_the_order() {
    for version in versions() {
        let fixture = Fixture::new(version, &format!("{TABLE}; {TOUCH}"), &watch("item", "'note'")).await;
        assert_eq!(touched(&fixture).await, ["new", "touched"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_tables_are_captured_whole() {
    let columns: Vec<String> = (1..=130).map(|number| format!("c{number}")).collect();
    let sql = format!(
        "create table wide (id int primary key, {} numeric(8, 2))",
        columns.join(" numeric(8, 2), ")
    );
    let fields = columns
        .iter()
        .map(|column| format!("'{column}'"))
        .collect::<Vec<_>>()
        .join(", ");
    let mut values = String::new();
    for number in 1..=130 {
        write!(values, ", {number}").unwrap();
    }
    for version in versions() {
        let fixture = Fixture::new(version, &sql, &watch("wide", &fields)).await;
        fixture.run(&format!("insert into wide values (7{values})")).await;
        fixture.run("update wide set c130 = 0").await;
        let changes = fixture.changes().await;
        let new = changes[0].new_row();
        assert_eq!(new.as_object().unwrap().len(), 131);
        assert_eq!(
            (&new["id"], &new["c50"], &new["c51"], &new["c130"]),
            (&json!(7), &json!("50.00"), &json!("51.00"), &json!("130.00"))
        );
        assert_eq!(changes[1].new_row()["c130"], "0.00");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_and_a_merge_are_captured_as_what_they_did() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "'name'")).await;
        let upsert = "insert into item values (1, 'a') on conflict (id) do update set name = excluded.name || '!'";
        fixture.run(upsert).await;
        fixture.run(upsert).await;
        // PostgreSQL 14 has no MERGE; the same two writes stand in, so that what is expected is the same.
        let merge = if version >= 15 {
            "merge into item using (values (1, 'm'), (2, 'n')) as v (id, name) on item.id = v.id
             when matched then update set name = v.name when not matched then insert values (v.id, v.name)"
        } else {
            "update item set name = 'm' where id = 1; insert into item values (2, 'n')"
        };
        fixture.run(merge).await;
        assert_eq!(
            fixture.changes().await.iter().map(|change| change.op).collect::<String>(),
            "IUUI"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn special_values_become_json() {
    let sql = "create table item (id int primary key, price numeric, prices numeric[], ratio float8, doc json, tags text[]);";
    for version in versions() {
        let fixture = Fixture::new(version, sql, &watch("item", "'price', 'prices', 'ratio', 'doc', 'tags'")).await;
        fixture
            .run("insert into item values (1, 'NaN', '{1.10,NULL,NaN}', 'Infinity', '{\"n\": 1.10, \"n\": \"\\u0000\"}', '{\"a,b\",NULL}')")
            .await;
        let change = fixture.change().await;
        let text = change.new.clone().unwrap();
        assert!(text.contains("{\"n\": 1.10, \"n\": \"\\u0000\"}"), "{text}");
        let new = change.new_row();
        assert_eq!(new["price"], "NaN");
        assert_eq!(new["prices"], json!(["1.10", null, "NaN"]));
        assert_eq!(new["ratio"], "Infinity");
        assert_eq!(new["tags"], json!(["a,b", null]));
    }
}
