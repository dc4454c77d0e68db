use std::time::{Duration, Instant};

use instant::access::{Access, Credentials, Error, Proof, Who};
use instant::config::{Config, Source};
use instant::django::mac;
use instant::django::signing::{Keys, Signer, derived};
use secrecy::SecretString;
use serde_json::json;

use crate::support::django::Django;
use crate::support::postgres::{self, versions};
use crate::support::process::instant;

const DJANGO: &str = "[django]\nsecret_key = 'a key for tests and demos'\n";

fn config(url: &str, toml: &str) -> Config {
    let source = Source {
        path: "instant.toml".into(),
        text: format!("[database]\nurl = '{url}'\n{toml}").into(),
    };
    let (config, problems) = Config::parse(source, &|_| None);
    config.unwrap_or_else(|| panic!("{problems:?}"))
}

/// Runs a command of the binary with this configuration, as the database's owner.
async fn run(url: &str, owner: &str, toml: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("instant.toml"),
        format!("[database]\nurl = '{url}'\n{toml}"),
    )
    .unwrap();
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--database-url", owner]).collect();
    let output = instant(folder.path(), &arguments, &[]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

/// A request with this `Cookie` header.
fn with(cookies: &str) -> Credentials<'_> {
    Credentials {
        cookies: vec![cookies],
        authorization: None,
    }
}

fn user(who: &Who) -> &str {
    who.key()
}

/// Inserts a session for a user with this key and password hash, signed as Django signs; returns the cookie.
async fn session(client: &tokio_postgres::Client, key: &str, password: &str, secret: &str) -> String {
    let secret = SecretString::from(secret);
    let purpose = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";
    let hash = mac::digest(&derived(purpose, &secret), password.as_bytes());
    let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let payload = json!({ "_auth_user_id": key, "_auth_user_backend": "b", "_auth_user_hash": hash }).to_string();
    let keys = Keys {
        current: secret,
        fallbacks: Vec::new(),
    };
    let data = Signer::new(&keys, "django.contrib.sessions.SessionStore").sign(payload.as_bytes(), instant::access::now());
    let cookie: String = (0..32).map(|_| fastrand::alphanumeric()).collect();
    client
        .execute(
            "insert into django_session (session_key, session_data, expire_date) values ($1, $2, now() + interval '1 h')",
            &[&cookie, &data],
        )
        .await
        .unwrap();
    format!("sessionid={cookie}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relays_role_knows_users_and_sessions_without_a_right_on_any_table() {
    for version in versions() {
        let django = Django::on(version).await;
        let owner = &django.database.url;
        let role = format!("Re\"ader {}", django.database.name);
        let stranger = format!("stranger_{}", django.database.name);
        let client = django.database.connect().await;
        let quoted = format!("\"{}\"", role.replace('"', "\"\""));
        client
            .batch_execute(&format!("create role {quoted} login; create role {stranger} login"))
            .await
            .unwrap();
        let url = django.database.url_as(&role.replace('"', "%22").replace(' ', "%20"));
        let toml = format!("relay_role = '{role}'\n{DJANGO}");
        let (code, output) = run(&url, owner, &toml, &["apply"]).await;
        assert_eq!(code, Some(0), "{output}");
        assert_eq!(run(&url, owner, &toml, &["plan"]).await.0, Some(0));
        assert_eq!(run(&url, &url, &toml, &["plan"]).await.0, Some(0), "the relay's own look");

        django.run("u = User.objects.create_user('a', password='secret')").await;
        let cookie = django
            .run("from django.test import Client\nc = Client(SERVER_NAME='localhost')\nc.post('/accounts/login/', {'username': 'a', 'password': 'secret'})\nprint(c.cookies['sessionid'].value)")
            .await;
        let access = Access::new(&config(&url, &toml)).unwrap();
        let cookie = format!("sessionid={}", cookie.trim());
        assert_eq!(user(&access.identify(&with(&cookie)).await.unwrap()), "1");

        let reader = postgres::connect(&url).await;
        for forbidden in [
            "select password from auth_user",
            "select session_key from django_session",
            "select 1 from auth_user_groups",
        ] {
            assert!(reader.batch_execute(forbidden).await.is_err(), "{forbidden}");
        }
        let stranger = postgres::connect(&django.database.url_as(&stranger)).await;
        for forbidden in [
            "select * from instant.session_data('a')",
            "select * from instant.session_identity('1', null, '{}', '{}')",
        ] {
            assert!(stranger.batch_execute(forbidden).await.is_err(), "{forbidden}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_sees_what_was_done_to_the_functions_and_remove_takes_them() {
    let django = Django::on(18).await;
    let url = &django.database.url;
    let client = django.database.connect().await;
    assert_eq!(run(url, url, DJANGO, &["apply"]).await.0, Some(0));
    for edit in [
        "alter function instant.session_data(text) security invoker",
        "alter function instant.session_data(text) set search_path = public",
        "grant execute on function instant.session_identity(text, text, bytea[], bytea[]) to public",
        "drop function instant.session_identity(text, text, bytea[], bytea[])",
        "create or replace function instant.session_data(session_key text) returns table (data text, expires timestamptz) language sql stable
             security definer set search_path = pg_catalog, pg_temp as 'select null::text, null::timestamptz'",
        "create function instant.session_data(int) returns int language sql return 1",
        "alter table auth_user drop column is_staff",
    ] {
        client.batch_execute(edit).await.unwrap();
        let (code, output) = run(url, url, DJANGO, &["plan"]).await;
        assert_eq!(code, Some(3), "{edit}: {output}");
        assert_eq!(run(url, url, DJANGO, &["apply"]).await.0, Some(0), "{edit}");
        assert_eq!(run(url, url, DJANGO, &["plan"]).await.0, Some(0), "{edit}");
    }
    let (code, script) = run(url, url, DJANGO, &["sql"]).await;
    assert!(code == Some(0) && script.contains("instant.session_identity"), "{script}");
    let (code, output) = run(url, url, "", &["plan"]).await;
    assert!(code == Some(3) && output.contains("drop function"), "{output}");
    assert_eq!(run(url, url, DJANGO, &["remove", "--yes"]).await.0, Some(0));
    let left = client
        .query_one("select count(*) from pg_namespace where nspname = 'instant'", &[])
        .await
        .unwrap();
    assert_eq!(left.get::<_, i64>(0), 0);
    client.batch_execute("drop table auth_user cascade").await.unwrap();
    let (code, output) = run(url, url, DJANGO, &["plan"]).await;
    assert!(code == Some(1) && output.contains("`auth_user`"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_model_may_have_another_table_key_and_no_flags_or_groups() {
    for version in versions() {
        let database = postgres::database(version).await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table django_session (session_key varchar(40) primary key, session_data text, expire_date timestamptz);
                 create schema people;
                 create table people.\"Member's\" (\"Key\" uuid primary key, password varchar(128) not null);
                 create table accounts_login (name text primary key, password text not null, is_active boolean, is_staff boolean);
                 create table auth_group (id serial primary key, name text);
                 create table accounts_login_groups (id serial, login_id text references accounts_login, group_id int references auth_group);
                 insert into people.\"Member's\" values ('0b8f2c1e-7d1f-4e2a-9d63-0a7c0a0c7b11', 'pw é');
                 insert into accounts_login values ('ada', 'pw', true, true), ('off', 'pw', false, false);
                 insert into auth_group values (1, 'x'), (2, 'y'); insert into accounts_login_groups values (1, 'ada', 2)",
            )
            .await
            .unwrap();
        let url = &database.url;
        let toml = "[django]\nsecret_key = 'k'\nuser_table = '''people.\"Member's\"'''\n";
        let (code, output) = run(url, url, toml, &["apply"]).await;
        assert_eq!(code, Some(0), "{output}");
        let access = Access::new(&config(url, toml)).unwrap();
        let key = "0b8f2c1e-7d1f-4e2a-9d63-0a7c0a0c7b11";
        let cookie = session(&client, key, "pw é", "k").await;
        let who = access.identify(&with(&cookie)).await.unwrap();
        assert_eq!(access.channels(&who).unwrap(), ["public", "users", &format!("#{key}")]);
        let other = session(&client, key, "pw", "k").await;
        assert_eq!(access.identify(&with(&other)).await.unwrap(), Who::Visitor);
        for key in ["1", "", "' or true --", "a\0b", "0b8f2c1e-7d1f-4e2a-9d63-0a7c0a0c7b12"] {
            assert_eq!(access.user(key).await.unwrap(), None, "{key:?}");
        }

        let toml = "[django]\nsecret_key = 'k'\nuser_model = 'accounts.Login'\n";
        assert_eq!(run(url, url, toml, &["apply"]).await.0, Some(0));
        let access = Access::new(&config(url, toml)).unwrap();
        let cookie = session(&client, "ada", "pw", "k").await;
        let who = access.identify(&with(&cookie)).await.unwrap();
        assert_eq!(
            access.channels(&who).unwrap(),
            ["public", "users", "staff", "group.y", "#ada"]
        );
        assert_eq!(access.user("off").await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_flag_is_null_lacks_it_and_the_others_are_answered() {
    let database = postgres::database(18).await;
    let client = database.connect().await;
    client
        .batch_execute(
            "create table django_session (session_key varchar(40) primary key, session_data text, expire_date timestamptz);
             create table auth_user (id int primary key, password text, is_active boolean, is_staff boolean, is_superuser boolean);
             insert into auth_user values (1, 'pw', true, true, true), (2, 'pw', true, null, null), (3, 'pw', null, true, true)",
        )
        .await
        .unwrap();
    let url = &database.url;
    assert_eq!(run(url, url, DJANGO, &["apply"]).await.0, Some(0));
    let access = Access::new(&config(url, DJANGO)).unwrap();
    let proofs = ["1", "2", "3"].map(|key| Proof::Key(key.to_owned()));
    let found = access.identify_all(&proofs.iter().collect::<Vec<_>>()).await.unwrap();
    let channels: Vec<_> = found.iter().map(|who| access.channels(who).unwrap()).collect();
    assert_eq!(channels[0], ["public", "users", "staff", "superuser", "#1"]);
    assert_eq!(channels[1], ["public", "users", "#2"]);
    assert_eq!(channels[2], ["public"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_users_that_does_not_say_who_is_active_is_warned_of_and_a_domain_over_boolean_says_it() {
    for version in versions() {
        let database = postgres::database(version).await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table django_session (session_key varchar(40) primary key, session_data text, expire_date timestamptz);
                 create table shop_order (id int primary key);
                 create domain flag as boolean; create domain strict_flag as flag check (value is not null);
                 create table auth_user (id int primary key, password text, enabled strict_flag);
                 insert into auth_user values (1, 'pw', true), (2, 'pw', false)",
            )
            .await
            .unwrap();
        let url = &database.url;
        let toml = format!("{DJANGO}[[watch]]\ntable = 'shop_order'\n");
        let access = Access::new(&config(url, &toml)).unwrap();
        for (name, is_told) in [("enabled", true), ("is_active", false)] {
            if !is_told {
                client
                    .batch_execute(&format!("alter table auth_user rename enabled to {name}"))
                    .await
                    .unwrap();
            }
            for command in [&["check", "--db"][..], &["apply"]] {
                let (code, output) = run(url, url, &toml, command).await;
                assert_eq!(code, Some(0), "{output}");
                assert_eq!(output.contains("warning[no-active-flag]"), is_told, "{command:?}: {output}");
            }
            assert!(access.user("1").await.unwrap().is_some());
            assert_eq!(access.user("2").await.unwrap().is_some(), is_told);
        }
        let (code, output) = run(url, url, &toml, &["plan"]).await;
        assert_eq!(code, Some(0), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_signed_cookies_are_read_until_they_are_too_old() {
    let django = Django::on(18).await;
    let url = &django.database.url;
    let toml = format!("{DJANGO}session_engine = 'signed_cookies'\nsession_cookie_age = '1h'\n");
    assert_eq!(run(url, url, &toml, &["apply"]).await.0, Some(0));
    let access = Access::new(&config(url, &toml)).unwrap();
    let cookies = django
        .run(
            "from django.test import Client
from django.test.utils import override_settings
from unittest import mock
import time
User.objects.create_user('a', password='secret')
now = time.time
with override_settings(SESSION_ENGINE='django.contrib.sessions.backends.signed_cookies'):
    for age in [0, 3590, 3700]:
        with mock.patch('django.core.signing.time.time', lambda: now() - age):
            c = Client(SERVER_NAME='localhost')
            assert c.post('/accounts/login/', {'username': 'a', 'password': 'secret'}).status_code == 302
            print(c.cookies['sessionid'].value)",
        )
        .await;
    let found: Vec<String> = {
        let mut found = Vec::new();
        for cookie in cookies.lines() {
            let who = access.identify(&with(&format!("sessionid={cookie}"))).await.unwrap();
            found.push(user(&who).to_owned());
        }
        found
    };
    assert_eq!(found, ["1", "1", ""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_silent_or_gone_is_told_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap();
    for url in [
        format!("postgres://a@{silent}/b"),
        format!("postgres://a@127.0.0.1:{}/b", postgres::free_port()),
    ] {
        let access = Access::new(&config(&url, DJANGO)).unwrap();
        let started = Instant::now();
        let answer = access.identify(&with("sessionid=0123456789abcdef")).await;
        assert!(matches!(answer, Err(Error::Database(_) | Error::TimedOut)), "{answer:?}");
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_apply_the_way_on_is_told() {
    let django = Django::on(18).await;
    let access = Access::new(&config(&django.database.url, DJANGO)).unwrap();
    let error = access.identify(&with("sessionid=0123456789abcdef")).await.unwrap_err();
    assert!(error.to_string().contains("instant apply"), "{error}");
}
