//! What the names of `related` resolve to, and what is granted for them.

use super::fixture::{Fixture, config};
use crate::support::postgres::versions;

const PROJECT: &str = "
    create table auth_user (id int primary key, username text, password text);
    create table shop_customer (id bigint primary key, name text, user_id int references auth_user, total numeric(12, 2));
    create table shop_order (
        id bigint primary key, number text, status text, customer_id bigint references shop_customer, land text, other bigint
    );
    create schema geo;
    create table geo.land (id int primary key, code text, name text);
    create table geo.pair (a int, b int, name text, primary key (a, b));
    create table geo.region (id int primary key, code text unique, name text);
    create view geo.view as select code, name from geo.land";

const ORDER: &str = "[[watch]]\nmodel = 'shop.Order'\nfields = ['number']\n";

async fn problems(fixture: &Fixture, toml: &str) -> String {
    let diagnostics = fixture.resolve(toml).await.diagnostics;
    diagnostics.render(&config(toml).source, false)
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_lead_to_tables_and_what_holds_them_is_captured() {
    let toml = format!(
        "{ORDER}related = {{ customer = ['name', 'total'], 'customer.user' = ['username'], where = {{ column = 'land', table = 'geo.land', \
         key = 'code', fields = ['name'] }} }}\n[[watch.rule]]\ntarget = {{ user = 'customer.user' }}\n\
         message = '{{{{ old.where.name }}}}'\ndata = ['number', 'customer', 'customer.total', 'customer.user.username']\n"
    );
    for version in versions() {
        let fixture = Fixture::without_watches(version, PROJECT).await;
        fixture.run("create unique index on geo.land (code)").await;
        let toml = toml.replace("['name', 'total']", "['name', 'total', 'user']");
        let resolved = fixture.resolve(&toml).await;
        assert!(resolved.diagnostics.items.is_empty(), "{:?}", resolved.diagnostics);
        let watch = &resolved.watches[0];
        let names =
            |columns: &[instant::capture::watch::Column]| columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&watch.columns), ["number", "customer_id", "land"]);
        assert_eq!(
            names(&watch.old),
            ["id", "customer_id", "land"],
            "moved by the customer; the message reads the former land"
        );
        let lookups: Vec<_> = watch
            .related
            .iter()
            .map(|relation| {
                let lookup = &relation.lookup;
                (
                    relation.path.as_str(),
                    relation.column.name.as_str(),
                    format!("{}.{}", lookup.schema, lookup.table),
                    lookup.key.name.as_str(),
                    names(&lookup.columns).join(" "),
                )
            })
            .collect();
        let expected = [
            ("customer", "customer_id", "public.shop_customer", "id", "name total user_id"),
            ("where", "land", "geo.land", "code", "name"),
            ("customer.user", "user_id", "public.auth_user", "id", "username"),
        ];
        let expected =
            expected.map(|(path, column, table, key, columns)| (path, column, table.to_owned(), key, columns.to_owned()));
        assert_eq!(lookups, expected);
        let rule = &watch.rules[0];
        assert_eq!(rule.data, ["number", "customer_id"]);
        assert_eq!(rule.related_data, ["customer.total", "customer.user.username"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leads_nowhere_is_told_with_its_place() {
    let fixture = Fixture::without_watches(versions()[0], PROJECT).await;
    let toml = "
[[watch]]
model = 'shop.Order'
fields = ['number']
  [watch.related]
  custmer = ['name']
  customer = ['nme', 'user']
  'customer.user' = ['username']
  'customer.name' = ['id']
  other = ['name']
  number = { column = 'customer', fields = ['name'] }
  tag = { column = 'number', fields = ['name'] }
  lost = { column = 'other', table = 'geo.lnd', fields = ['name'] }
  loose = { column = 'land', table = 'geo.land', key = 'code', fields = ['name'] }
  view = { column = 'land', table = 'geo.view', fields = ['name'] }
  pair = { column = 'other', table = 'geo.pair', fields = ['name'] }
  region = { column = 'land', table = 'geo.region', key = 'cod', fields = ['name'] }
  [[watch.rule]]
  message = '{{ row.customer.user }} {{ row.customer.name }}'
";
    let toml = toml
        .replace("{{ row.customer.user }} ", "")
        .replace("row.customer.name", "row.customer.user_id");
    insta::assert_snapshot!(problems(&fixture, &toml).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_key_to_a_partitioned_table_leads_to_the_whole_of_it() {
    for version in versions() {
        let fixture = Fixture::without_watches(
            version,
            "create table customer (id int primary key, name text) partition by hash (id);
             create table customer_0 partition of customer for values with (modulus 2, remainder 0);
             create table customer_1 partition of customer for values with (modulus 2, remainder 1);
             create table item (id int primary key, customer_id int constraint z references customer)",
        )
        .await;
        let resolved = fixture
            .resolve("[[watch]]\ntable = 'item'\nrelated = { customer = ['name'] }\n")
            .await;
        assert!(resolved.diagnostics.items.is_empty(), "{:?}", resolved.diagnostics);
        assert_eq!(resolved.watches[0].related[0].lookup.table, "customer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relays_role_gets_the_columns_and_loses_them_again_and_what_others_gave_it_stays() {
    for version in versions() {
        let fixture = Fixture::without_watches(version, PROJECT).await;
        let role = format!("relay_{}", fixture.database.name);
        fixture
            .run(&format!(
                "create role {role} login; grant select (number) on shop_order to {role}"
            ))
            .await;
        let related = "related = { customer = ['name'], 'customer.user' = ['username'], where = { column = 'other', table = 'geo.land', fields = ['name'] } }";
        let toml = format!("relay_role = '{role}'\n{ORDER}{related}\n");
        let done = fixture.apply(&toml).await;
        let expected = [
            format!("grant usage on schema \"geo\" to \"{role}\""),
            format!("grant select (\"id\", \"name\", \"user_id\") on \"public\".\"shop_customer\" to \"{role}\""),
            format!("grant select (\"id\", \"name\") on \"geo\".\"land\" to \"{role}\""),
            format!("grant select (\"id\", \"username\") on \"public\".\"auth_user\" to \"{role}\""),
        ];
        let granted: Vec<_> = done
            .iter()
            .filter(|step| step.contains(" on \"") || step.contains("\"geo\""))
            .collect();
        assert_eq!(granted, expected.iter().collect::<Vec<_>>(), "{done:?}");
        assert!(fixture.plan(&toml).await.is_empty());
        let held = format!(
            "select count(*) from information_schema.column_privileges where grantee = '{role}' and table_schema in ('public', 'geo')"
        );
        let count = async || fixture.client.query_one(&held, &[]).await.unwrap().get::<_, i64>(0);
        assert_eq!(count().await, 8);
        let resolved = fixture.resolve(&toml).await;
        instant::capture::remove(&fixture.pool, &config(&toml), &resolved.watches, |_, _| ())
            .await
            .unwrap();
        assert_eq!(count().await, 1, "what somebody else gave it stays");
    }
}
