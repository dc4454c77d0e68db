//! Settings of a writer's session, none of which changes what is captured.

use instant::capture::DOZE_LOCK;
use serde_json::json;

use super::announcements::Listener;
use super::fixture::{Fixture, watch};
use crate::support::postgres::{database_with, versions};

pub(super) const TABLE: &str =
    "create table item (id int primary key, at timestamptz, day date, span interval, raw bytea, ratio float8,
    stay daterange, spans interval[], name text)";
pub(super) const FIELDS: &str = "'at', 'day', 'span', 'raw', 'ratio', 'stay', 'spans', 'name'";
pub(super) const INSERT: &str =
    "insert into item values (1, '2026-11-24 12:00:00.5+00', '2026-11-24', '1 day 02:00:03', '\\x01ff'::bytea, 0.1::float8 + 0.2,
    daterange('2026-11-24', '2026-12-01'), array['1 hour'::interval], 'n')";

/// Settings that change how a session writes values as text.
pub(super) const FORMATS: &str =
    "set timezone = 'Asia/Kathmandu'; set datestyle = 'German'; set intervalstyle = 'postgres_verbose';
                 set bytea_output = 'escape'; set extra_float_digits = -10; set standard_conforming_strings = off;
                 set backslash_quote = off; set xmlbinary = 'hex'; set quote_all_identifiers = on; set array_nulls = off";

/// A session whose own objects would shadow PostgreSQL's in the function.
pub(super) const HOSTILE: &str = "
    create schema evil;
    create function evil.left(text, int) returns text language sql as $$ select 'X'::text $$;
    create function evil.nextval(regclass) returns bigint language plpgsql as $$ begin raise 'evil'; end $$;
    create function evil.json_build_object(variadic \"any\") returns json language internal immutable as 'json_build_object_noargs';
    create function evil.current_setting(text, boolean) returns text language sql as $$ select '1'::text $$;
    create function evil.same(record, record) returns boolean language plpgsql as $$ begin return true; end $$;
    create operator evil.*= (leftarg = record, rightarg = record, function = evil.same);
    create schema instant_evil;
    create temp table outbox (xid xid8, id bigint, at timestamptz, source text, op \"char\", old json, new json);
    create temp table item (id int);
    create function pg_temp.nextval(text) returns bigint language plpgsql as $$ begin raise 'evil'; end $$;
    set search_path = evil, pg_temp, pg_catalog, public";

#[tokio::test(flavor = "multi_thread")]
async fn a_writers_formats_change_nothing_that_is_captured() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", FIELDS)).await;
        let expected = json!({
            "id": 1, "at": "2026-11-24T12:00:00.5+00:00", "day": "2026-11-24", "span": "P1DT2H3S", "raw": "\\x01ff",
            "ratio": 0.300_000_000_000_000_04, "stay": "[2026-11-24,2026-12-01)", "spans": ["PT1H"], "name": "n",
        });
        fixture.run(INSERT).await;
        assert_eq!(fixture.change().await.new_row(), expected);
        fixture.run(FORMATS).await;
        fixture.run("delete from item").await;
        assert_eq!(fixture.change().await.old_row(), expected);
        fixture
            .run(&INSERT.replace("'\\x01ff'::bytea", "decode('01ff', 'hex')"))
            .await;
        assert_eq!(fixture.change().await.new_row(), expected);
        let zone: String = fixture.client.query_one("show timezone", &[]).await.unwrap().get(0);
        assert_eq!(zone, "Asia/Kathmandu");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_search_path_and_temporary_tables_change_nothing() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "'name'")).await;
        fixture.run(HOSTILE).await;
        fixture.run("insert into public.item (id, name) values (1, 'a')").await;
        fixture.run("update public.item set name = 'b'").await;
        let changes = fixture.changes().await;
        assert_eq!(changes.iter().map(|change| change.op).collect::<String>(), "IU");
        assert_eq!(changes[1].new_row(), json!({"id": 1, "name": "b"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_value_of_the_transactions_memory_breaks_no_write() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "'name'")).await;
        for (id, value) in ["1", "0", "", "nonsense", "1:2", "0:2"].iter().enumerate() {
            fixture
                .run(&format!(
                    "set instant.tx = '{value}'; insert into item (id, name) values ({id}, 'a')"
                ))
                .await;
            assert_eq!(fixture.changes().await.len(), 1, "{value}");
        }
        fixture
            .run("set instant.tx = '1'; alter table instant.outbox rename to elsewhere")
            .await;
        fixture.run("insert into item (id, name) values (100, 'a'), (101, 'b')").await;
        assert_eq!(fixture.lost().await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writers_lock_timeout_is_what_it_was() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "'name'")).await;
        let setting = async || -> String { fixture.client.query_one("show lock_timeout", &[]).await.unwrap().get(0) };
        fixture
            .run("set lock_timeout = '7s'; begin; insert into item (id) values (1)")
            .await;
        assert_eq!(setting().await, "7s");
        fixture
            .run("set local lock_timeout = '3min'; insert into item (id) values (2)")
            .await;
        assert_eq!(setting().await, "3min");
        fixture.run("commit").await;
        assert_eq!(setting().await, "7s");
        fixture
            .run("alter table instant.outbox rename to elsewhere; begin; insert into item (id) values (3)")
            .await;
        assert_eq!(setting().await, "7s");
        fixture.run("commit").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dozing_relay_is_notified_once_a_transaction_and_an_awake_one_never() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "'name'")).await;
        let mut relay = Listener::of(&fixture.database.url).await;
        relay.client.batch_execute("listen instant").await.unwrap();
        for (state, sleep, notified) in [
            ("asleep", format!("select pg_advisory_lock({DOZE_LOCK})"), vec![""]),
            ("awake", "select pg_advisory_unlock_all()".to_owned(), vec![]),
        ] {
            relay.client.batch_execute(&sleep).await.unwrap();
            let write = "begin; insert into item (id, name) values (1, 'a'), (2, 'b'); delete from item; commit";
            fixture.run(write).await;
            fixture.run("notify instant, 'all of them'").await;
            assert_eq!(
                relay.payloads("instant", "all of them").await,
                notified,
                "{state}, PostgreSQL {version}"
            );
        }
        // Awake it cannot fall asleep before the transaction ends.
        let shares = "select count(*) from pg_locks where locktype = 'advisory' and mode = 'ShareLock' and granted
                      and database = (select oid from pg_database where datname = current_database())";
        fixture.run("begin; insert into item (id, name) values (1, 'a')").await;
        assert_eq!(fixture.one(shares).await, 1);
        fixture.run("commit").await;
        assert_eq!(fixture.one(shares).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_transaction_is_not_refused_while_the_relay_dozes() {
    for version in versions() {
        let database = database_with(version, &["max_prepared_transactions=10"]).await;
        let fixture = Fixture::on(database, TABLE).await;
        fixture.apply(&watch("item", "'name'")).await;
        let relay = fixture.database.connect().await;
        relay
            .batch_execute(&format!("select pg_advisory_lock({DOZE_LOCK})"))
            .await
            .unwrap();
        // The cluster's other databases share the names of prepared transactions.
        let name = &fixture.database.name;
        fixture
            .run(&format!(
                "begin; insert into item (id, name) values (1, 'a'); prepare transaction '{name}'"
            ))
            .await;
        assert_eq!(fixture.changes().await, []);
        fixture.run(&format!("commit prepared '{name}'")).await;
        assert_eq!(fixture.changes().await.len(), 1);
    }
}
