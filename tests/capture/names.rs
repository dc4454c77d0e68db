//! How the configuration's names are resolved.

use instant::capture::watch::Encoding;

use super::fixture::{Fixture, config, watch};
use crate::support::postgres::versions;

const PROJECT: &str = "
    create table shop_customer (id bigint primary key, name text);
    create table shop_order (id bigint primary key, number text, status text, total numeric(12, 2), customer_id bigint);
    create table django_content_type (id int primary key, app_label varchar(100), model varchar(100));
    insert into django_content_type values (1, 'shop', 'order'), (2, 'shop', 'customer'), (3, 'shop', 'legacy');
    create view shop_summary as select * from shop_order";

/// The problems of `toml` as displayed.
async fn problems(fixture: &Fixture, toml: &str) -> String {
    let diagnostics = fixture.resolve(toml).await.diagnostics;
    diagnostics.render(&config(toml).source, false)
}

#[tokio::test(flavor = "multi_thread")]
async fn models_and_fields_find_their_tables_and_columns() {
    let toml = "[[watch]]\nmodel = 'shop.Order'\nfields = ['total', 'customer', 'number']\n\
                [[watch.rule]]\ntarget = { user = 'customer' }\non = 'update'\nchanged = 'customer_id'\ndata = ['customer']\n";
    for version in versions() {
        let fixture = Fixture::without_watches(version, PROJECT).await;
        let resolved = fixture.resolve(toml).await;
        assert!(resolved.diagnostics.items.is_empty(), "{:?}", resolved.diagnostics);
        let watch = &resolved.watches[0];
        let names =
            |columns: &[instant::capture::watch::Column]| columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            (watch.model.as_str(), watch.name.as_str(), watch.source.as_str()),
            ("shop.Order", "Order", "public.shop_order")
        );
        assert_eq!(names(&watch.key), ["id"]);
        assert_eq!(names(&watch.columns), ["total", "customer_id", "number"]);
        assert_eq!(names(&watch.old), ["id", "customer_id"], "a row leaves under its former key");
        assert_eq!(watch.rules[0].data, ["customer_id"]);
        assert_eq!(watch.rules[0].changed, ["customer_id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn former_values_are_captured_only_of_what_decides_who_hears_a_row() {
    let fixture = Fixture::without_watches(versions()[0], PROJECT).await;
    for (rule, old) in [
        ("target = 'staff'", &[][..]),
        ("target = 'staff'\nwhen = 'row.total'", &[]),
        ("target = 'staff'\nwhen = 'row.total'\nfollow = true", &["id", "total"]),
        ("channel = 'room:{{ row.number }}'", &["id", "number"]),
        ("channel = 'order:{{ pk }}'", &["id"]),
        ("channel = 'order:{{ op }}'", &[]),
        (
            "target = { group = 'g{{ row.number }}' }\nwhen = 'row.total'",
            &["id", "total", "number"],
        ),
        ("target = { user = 'customer' }\non = ['insert', 'delete']", &[]),
        ("target = { user = 'customer' }\nwhen = 'old.total != row.total'", &["total"]),
    ] {
        let toml = format!("[[watch]]\nmodel = 'shop.Order'\nfields = ['total', 'customer', 'number']\n[[watch.rule]]\n{rule}\n");
        let resolved = fixture.resolve(&toml).await;
        assert!(resolved.diagnostics.items.is_empty(), "{:?}", resolved.diagnostics);
        let names: Vec<_> = resolved.watches[0].old.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, old, "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_are_told_with_the_nearest_known_one() {
    let fixture = Fixture::without_watches(versions()[0], PROJECT).await;
    let toml = "
[[watch]]
model = 'shop.Ordre'
[[watch]]
model = 'shop.Legacy'
[[watch]]
table = 'shop_custmer'
[[watch]]
table = 'shop_summary'
[[watch]]
model = 'shop.Order'
fields = ['nmber', 'status', 'customer', 'customer_id']
[[watch.rule]]
target = { user = 'total' }
when = \"row.customer == 1 and row.total > 1 and old.quantity\"
[[watch]]
table = 'public.shop_order'
";
    insta::assert_snapshot!(problems(&fixture, toml).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_content_types_the_tables_say_what_is_there() {
    let fixture = Fixture::without_watches(versions()[0], "create table shop_order (id int primary key)").await;
    insta::assert_snapshot!(problems(&fixture, "[[watch]]\nmodel = 'shop.Ordre'\n").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_capture_cannot_serve_well_are_told() {
    let toml = ["keyless", "late", "part_0", "part", "instant.outbox"]
        .map(|table| watch(table, ""))
        .concat();
    let mut told = Vec::new();
    for version in versions() {
        let fixture = Fixture::without_watches(
            version,
            "create table keyless (name text);
             create table late (id int primary key deferrable);
             create table part (id int primary key) partition by hash (id);
             create table part_0 partition of part for values with (modulus 1, remainder 0);
             create schema instant; create table instant.outbox (id int primary key)",
        )
        .await;
        told.push(problems(&fixture, &toml).await);
    }
    insta::allow_duplicates! {
        for problems in told {
            insta::assert_snapshot!(problems);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_column_is_refused_and_a_stored_one_is_captured() {
    for version in versions() {
        let fixture = Fixture::without_watches(
            version,
            "create table item (id int primary key, s int generated always as (id * 2) stored)",
        )
        .await;
        assert!(fixture.resolve(&watch("item", "'s'")).await.diagnostics.items.is_empty());
        if version >= 18 {
            fixture
                .run("alter table item add v int generated always as (id * 3) virtual")
                .await;
            let resolved = fixture.resolve(&watch("item", "'v'")).await;
            assert_eq!(resolved.diagnostics.items[0].code, "cannot-watch");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_get_their_encoding_below_domains_and_arrays() {
    let sql =
        "create domain money_amount as numeric(12, 2); create domain amounts as money_amount[]; create type mood as enum ('a');
               create table item (id int primary key, a money_amount, b amounts, c money_amount[], d numeric[], e mood, f mood[],
                   g timestamptz, h date, i point, j float8, k uuid[], l jsonb, m inet, n daterange, o int[], p item_id)";
    for version in versions() {
        let fixture = Fixture::without_watches(version, &format!("create domain item_id as bigint; {sql}")).await;
        let fields = ('a'..='p').map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        let resolved = fixture.resolve(&watch("item", &fields)).await;
        let letters: String = resolved.watches[0]
            .columns
            .iter()
            .map(|column| match column.encoding {
                Encoding::Decimal => 'd',
                Encoding::Decimals => 'D',
                Encoding::Pinned => 'P',
                Encoding::Plain => '-',
            })
            .collect();
        assert_eq!(letters, "dDDD--PPPP---P--");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_composite_key_keeps_the_keys_order() {
    for version in versions() {
        let fixture = Fixture::without_watches(version, "create table item (a int, b int, c int, primary key (c, a))").await;
        let resolved = fixture.resolve(&watch("item", "'a', 'b'")).await;
        let watch = &resolved.watches[0];
        assert_eq!(
            watch.key.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
            ["c", "a"]
        );
        assert_eq!(
            watch.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
            ["b"]
        );
        assert_eq!(watch.rules[0].data, ["a", "b"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_model_name_is_shortened_as_django_does() {
    let name = "m".repeat(70);
    for version in versions() {
        // What Django 5 makes of it: truncate_name('app_mmm…', 63).
        let table = format!("app_{}d3dc", "m".repeat(55));
        let fixture = Fixture::without_watches(version, &format!("create table {table} (id int primary key)")).await;
        let resolved = fixture.resolve(&format!("[[watch]]\nmodel = 'app.{name}'\n")).await;
        assert_eq!(resolved.watches[0].table, table);
    }
}
