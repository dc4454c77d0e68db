//! Roles that see the database differently from its owner.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::{Stack, expect};
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

const RULES: &str = "
[django]
secret_key = 'a key for tests and demos'

[[watch]]
model = 'shop.Order'
fields = ['number']
[[watch.rule]]
target = 'public'
";

/// A site whose schema is called `shop` and is closed to everybody, with the role of a relay, whose name and URL follow.
async fn closed(version: u32) -> (Stack, Client, String, String) {
    let stack = Stack::start(version, RULES).await;
    let database = &stack.django.database;
    let role = format!("relay_of_{}", database.name);
    let client = database.connect().await;
    let url = database.url_as(&role);
    client
        .batch_execute(&format!(
            "create role {role} login;
             alter schema public rename to shop;
             revoke usage on schema shop from public;
             alter database {} set search_path = shop",
            database.name
        ))
        .await
        .unwrap();
    stack.reconfigure("[database]\n", &format!("[database]\nrelay_role = '{role}'\n"));
    (stack, client, role, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_schema_is_closed_apply_opens_it_to_the_relays_role_which_starts_and_publishes() {
    for version in postgres::versions() {
        let (mut stack, _, role, url) = closed(version).await;
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        let grant = format!("grant usage on schema \"shop\" to \"{role}\"");
        let plan = stack.command(&["plan"], 3).await;
        assert_eq!(plan.matches(&grant).count(), 1, "{plan}");
        assert!(stack.command(&["sql"], 0).await.contains(&grant));
        stack.command(&["apply"], 0).await;
        stack.command(&["plan"], 0).await;
        let said = stack.command(&["plan", "--database-url", &url], 0).await;
        assert!(said.contains("nothing to do"), "{said}");
        stack.relay = Process::instant(stack.folder.path(), &["run", "--database-url", &url], &[]);
        stack.relay.line("leading", SOON).await;
        assert!(
            !stack.relay.output().contains("not as instant.toml wants it"),
            "{}",
            stack.relay.output()
        );
        assert_eq!(stack.events("Order.objects.create(number='1')").await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_table_is_told_the_role_its_search_path_and_what_of_it_is_closed() {
    for version in postgres::versions() {
        let (stack, client, role, url) = closed(version).await;
        let place = format!("not on the search path of the role `{role}`, which is `shop`, and the role may not use `shop`");
        for arguments in [&["run"][..], &["check", "--db"]] {
            let said = stack.command(&[arguments, &["--database-url", &url]].concat(), 2).await;
            assert!(
                said.contains("there is no model `shop.Order`") && said.contains(&place),
                "{said}"
            );
        }
        let said = stack.command(&["check", "--db", "--database-url", &url], 2).await;
        let sessions = "there is no table `django_session`, which `[django]` needs";
        assert!(said.contains(sessions) && said.matches(&place).count() == 4, "{said}");

        stack.command(&["apply"], 0).await;
        client
            .batch_execute(&format!("alter role {role} set search_path = elsewhere, \"$user\""))
            .await
            .unwrap();
        let said = stack.command(&["run", "--database-url", &url], 2).await;
        let place = format!("not on the search path of the role `{role}`, which is `elsewhere, \"$user\"`\n");
        assert!(said.contains(&place), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_outs_and_isolation_that_are_set_for_the_role_do_not_stop_the_relay() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, "").await;
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        let client = stack.django.database.connect().await;
        let mut settings = vec![
            "statement_timeout = '50ms'",
            "lock_timeout = '1ms'",
            "idle_in_transaction_session_timeout = '20ms'",
            "idle_session_timeout = '200ms'",
            "default_transaction_isolation = 'serializable'",
            "default_transaction_read_only = on",
        ];
        if version >= 17 {
            settings.push("transaction_timeout = '20ms'");
        }
        client.batch_execute("create role hurried superuser login").await.unwrap();
        for setting in settings {
            let statement = format!("alter role hurried in database {} set {setting}", stack.django.database.name);
            client.batch_execute(&statement).await.unwrap();
        }
        let url = stack.django.database.url_as("hurried");
        stack.relay = Process::instant(stack.folder.path(), &["run"], &[("INSTANT_DATABASE_URL", &url)]);
        stack.relay.line("leading", SOON).await;
        // Longer than any of them, asleep and awake, and through a window that is read by a held cursor.
        let asleep = std::time::Instant::now() + std::time::Duration::from_millis(500);
        eventually(SOON, "a long doze", async || {
            (std::time::Instant::now() > asleep).then_some(())
        })
        .await;
        let events = stack
            .events("Country.objects.bulk_create([Country(code=str(i), name='') for i in range(3000)])")
            .await;
        assert_eq!(events.len(), 3000);
        let events = stack.events("Country.objects.create(code='last', name='')").await;
        expect(&events, &[("Country created", "last".into())]);
        let said = stack.relay.output();
        assert!(!said.contains("starts again"), "{said}");
        // The control: a session that takes the settings as they are.
        let plain = postgres::connect(&url).await;
        let slow = plain.batch_execute("select pg_sleep(1)").await.unwrap_err();
        let ended = slow.code().map(SqlState::code);
        assert_eq!(ended, Some(if version >= 17 { "25P04" } else { "57014" }));
        eventually(SOON, "the end of an idle session", async || plain.is_closed().then_some(())).await;
        client
            .batch_execute("drop owned by hurried; drop role hurried")
            .await
            .unwrap();
    }
}
