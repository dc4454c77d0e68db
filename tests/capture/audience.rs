//! What `check --db` reports about audiences.

use instant::capture;

use super::fixture::{Fixture, config};
use crate::support::postgres::versions;

/// A project whose members are children of a model `person` by multi-table inheritance.
const PROJECT: &str = "
    create table people (id bigint primary key);
    create table club_member (person_id bigint primary key references people, password text);
    create table shop_profile (member_id bigint primary key references club_member, theme text);
    create table shop_customer (id bigint primary key, name text, member_id bigint references club_member);
    create table shop_order (
        id bigint primary key, number text, paid boolean, buyer int, customer_id bigint references shop_customer,
        member_id bigint references club_member, person_id bigint references people, profile_id bigint references shop_profile
    );
    create table auth_group (id int primary key, name varchar(150));
    insert into auth_group values (1, 'editors'), (2, 'night shift')";

const DJANGO: &str = "[django]\nsecret_key = 'k'\nuser_model = 'club.Member'\n";

async fn problems(fixture: &Fixture, toml: &str) -> String {
    let resolved = fixture.resolve(toml).await;
    assert!(resolved.diagnostics.items.is_empty(), "{:?}", resolved.diagnostics);
    let config = config(toml);
    let found = capture::audience(&fixture.pool, &config, &resolved.watches).await.unwrap();
    found.render(&config.source, false)
}

fn watch(rules: &[&str]) -> String {
    let rules: Vec<String> = rules.iter().map(|rule| format!("[[watch.rule]]\n{rule}\n")).collect();
    format!(
        "[[watch]]\nmodel = 'shop.Order'\nfields = ['number', 'paid', 'buyer', 'customer', 'member', 'person', 'profile']\n\
         related = {{ customer = ['name', 'member'] }}\n{}",
        rules.concat()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_are_not_there_and_fields_that_hold_no_users_key_are_told() {
    let fixture = Fixture::without_watches(versions()[0], PROJECT).await;
    let toml = DJANGO.to_owned()
        + &watch(&[
            "target = { group = 'editor' }",
            "target = { group = 'sales' }",
            "target = { user = 'customer' }",
            "target = { user = 'paid' }",
            "target = { user = 'customer.name' }\nwhen = 'row.paid'",
        ]);
    insta::assert_snapshot!(problems(&fixture, &toml).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_key_is_known_through_parents_profiles_and_related_rows_and_by_its_type() {
    let fixture = Fixture::without_watches(versions()[0], PROJECT).await;
    let toml = DJANGO.to_owned()
        + &watch(&[
            "target = { group = 'night shift' }",
            "target = { group = '{{ row.number }}' }",
            "target = { user = 'member' }",
            "target = { user = 'person' }",
            "target = { user = 'profile' }",
            "target = { user = 'customer.member' }",
            "target = { user = 'buyer' }",
            "target = { user = 'number' }",
        ]);
    assert_eq!(problems(&fixture, &toml).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_of_audiences_that_the_site_or_nobody_knows() {
    let fixture = Fixture::without_watches(versions()[0], PROJECT).await;
    let rules = watch(&["target = { group = 'sales' }", "target = { user = 'customer' }"]);
    for django in ["", "[django]\nwhoami = 'http://localhost/whoami'\n"] {
        assert_eq!(problems(&fixture, &(django.to_owned() + &rules)).await, "", "{django}");
    }
    fixture
        .run("drop table auth_group; alter table club_member rename to club_people")
        .await;
    assert_eq!(problems(&fixture, &(DJANGO.to_owned() + &rules)).await, "");
}
