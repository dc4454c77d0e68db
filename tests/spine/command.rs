//! The command line as scripts and operators use it: texts, JSON, exit codes, roles.

use std::process::Output;

use insta::assert_snapshot;
use serde_json::Value;
use tokio_postgres::error::SqlState;

use super::{ORDERS, Stack, write_config};
use crate::support::cache::manifest;
use crate::support::centrifugo::Centrifugo;
use crate::support::client::Subscriber;
use crate::support::django::Django;
use crate::support::postgres;
use crate::support::process::{Process, instant};
use crate::support::wait::SOON;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn in_nowhere(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    instant(folder.path(), arguments, environment).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_explains_itself() {
    let overview = text(&in_nowhere(&["--help"], &[]).await.stdout);
    assert_snapshot!("help", overview);
    let commands = overview.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    for line in commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
    {
        let command = line.split_whitespace().next().unwrap();
        if command != "help" {
            let help = text(&in_nowhere(&[command, "--help"], &[]).await.stdout);
            assert!(help.contains("Example"), "{command}: no example in its help");
            assert_snapshot!(format!("help {command}"), help);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_call_is_said_and_told_by_the_exit_code() {
    let missing = in_nowhere(&["check"], &[]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(
        text(&missing.stderr),
        "error: there is no instant.toml in this folder or a parent folder; name one with --config\n"
    );
    let unknown = in_nowhere(&["aply"], &[]).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("'apply'"), "{}", text(&unknown.stderr));

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("instant.toml"),
        "[database]\nurl = 'postgresql://shop:hunter2@127.0.0.1:1/shop'\n[[watch]]\nmodel = 'shop.Order'\n",
    )
    .unwrap();
    for command in [
        &["plan"][..],
        &["apply"],
        &["sql"],
        &["remove", "--yes"],
        &["check", "--db"],
        &["run"],
    ] {
        let output = instant(folder.path(), command, &[]).await;
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(output.stdout.is_empty(), "{command:?}");
        let said = text(&output.stderr);
        assert!(!said.contains("hunter2") && !said.contains("Error {"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_finds_what_the_url_leaves_out_where_libpq_finds_it() {
    let database = postgres::database(18).await;
    let folder = tempfile::tempdir().unwrap();
    let centrifugo = Centrifugo::start_new().await;
    let config = format!(
        "[database]\nurl = 'postgresql:///{}'\n[centrifugo]\nurl = '{}'\napi_key = '{}'\n[[watch]]\ntable = 'item'\n",
        database.name, centrifugo.url, centrifugo.api_key
    );
    std::fs::write(folder.path().join("instant.toml"), config).unwrap();
    let client = database.connect().await;
    client.batch_execute("create table item (id int primary key)").await.unwrap();
    let (socket, port) = (database.cluster.path(""), database.cluster.port.to_string());
    let variables = [
        ("PGHOST", socket.to_str().unwrap()),
        ("PGPORT", &port),
        ("PGUSER", "postgres"),
    ];
    let applied = instant(folder.path(), &["apply"], &variables).await;
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let relay = Process::instant(folder.path(), &["run"], &variables);
    relay.line("leading", SOON).await;
    for command in ["status", "doctor"] {
        let ended = instant(folder.path(), &[command], &variables).await;
        assert!(
            ended.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&ended.stdout)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_looks_where_the_options_of_the_url_say_and_refuses_what_would_lead_django_elsewhere() {
    let database = postgres::database(18).await;
    let folder = tempfile::tempdir().unwrap();
    let centrifugo = Centrifugo::start_new().await;
    let config = format!(
        "[database]\nurl = '{}?options=-c%20search_path%3Dshop%2Cpublic'\n[centrifugo]\nurl = '{}'\napi_key = '{}'\n\
         [[watch]]\ntable = 'item'\n[[watch.rule]]\ntarget = 'public'\n",
        database.url, centrifugo.url, centrifugo.api_key
    );
    std::fs::write(folder.path().join("instant.toml"), config).unwrap();
    let client = database.connect().await;
    client
        .batch_execute("create table item (id int primary key); create schema shop; create table shop.item (id int primary key)")
        .await
        .unwrap();
    let applied = instant(folder.path(), &["apply"], &[]).await;
    assert!(text(&applied.stdout).contains("on shop.item"), "{}", text(&applied.stderr));
    let mut public = Subscriber::anonymous(&centrifugo, &["public"]).await;
    let relay = Process::instant(folder.path(), &["run"], &[]);
    relay.line("leading", SOON).await;
    assert!(!relay.output().contains("not as instant.toml wants it"), "{}", relay.output());
    client.batch_execute("insert into shop.item values (17)").await.unwrap();
    assert_eq!(public.next(SOON).await.value()["pk"], 17);

    let by_service = [("PGSERVICE", "shop")];
    let two = database.url.replacen('@', "@127.0.0.1,", 1);
    for (url, environment, reason) in [
        ("postgresql:///?service=shop", &[][..], "`service`"),
        ("postgresql://db/shop?passfile=/run/secrets/pg", &[], "PGPASSFILE"),
        ("postgresql:///shop", &by_service, "PGSERVICE"),
        (&two, &[], "several hosts"),
    ] {
        for command in ["plan", "run", "status"] {
            let refused = instant(folder.path(), &[command, "--database-url", url], environment).await;
            let said = text(&refused.stderr);
            assert!(
                refused.status.code() == Some(1) && said.contains(reason),
                "{command} {url}: {said}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_names_its_code_and_the_code_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("instant.toml"),
        "[database]\nurl = 'postgresql://127.0.0.1:1/shop'\n[[watch]]\nmodel = 'shop.Order'\n[[watch.rule]]\non = []\n",
    )
    .unwrap();
    let checked = instant(folder.path(), &["check"], &[]).await;
    assert_eq!(checked.status.code(), Some(2));
    let said = text(&checked.stderr);
    assert!(
        said.contains("error[never-fires]") && said.contains("--explain CODE`: never-fires\n"),
        "{said}"
    );
    let page = in_nowhere(&["check", "--explain", "never-fires"], &[]).await;
    assert!(page.status.success());
    assert_eq!(
        text(&page.stdout),
        std::fs::read_to_string(manifest("docs/diagnostics/never-fires.md")).unwrap()
    );
    let slip = in_nowhere(&["check", "--explain", "never-fire"], &[]).await;
    assert_eq!(slip.status.code(), Some(2));
    assert_eq!(
        text(&slip.stderr),
        "error: unknown code `never-fire`: did you mean `never-fires`?\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_of_a_file_that_publishes_nowhere_that_only_dev_can_run_it() {
    let folder = tempfile::tempdir().unwrap();
    for (more, is_told) in [
        ("", true),
        ("[server]\n", false),
        ("[centrifugo]\nurl = 'http://127.0.0.1:1'\napi_key = 'key'\n", false),
    ] {
        let toml = format!("[database]\nurl = 'postgresql://127.0.0.1:1/shop'\n{more}[[watch]]\nmodel = 'shop.Order'\n");
        std::fs::write(folder.path().join("instant.toml"), toml).unwrap();
        let checked = instant(folder.path(), &["check"], &[]).await;
        assert!(checked.status.success(), "{}", text(&checked.stderr));
        let said = text(&checked.stdout);
        let wanted = "only `instant dev` can run it: instant.toml has neither [centrifugo] nor [server]";
        assert_eq!(said.contains(wanted), is_told, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_may_be_the_primary_key_is_a_warning_only_where_no_database_is_asked() {
    let django = Django::on(18).await;
    let folder = tempfile::tempdir().unwrap();
    let toml = format!(
        "[database]\nurl = '{}'\n[[watch]]\nmodel = 'shop.Country'\nfields = ['name']\n\
         [[watch.rule]]\nmessage = 'Country {{{{ row.code }}}}'\n",
        django.database.url
    );
    std::fs::write(folder.path().join("instant.toml"), toml).unwrap();
    let said = async |arguments: &[&str]| {
        let output = instant(folder.path(), arguments, &[]).await;
        assert!(output.status.success(), "{arguments:?}");
        text(&output.stderr)
    };
    assert!(said(&["check"]).await.contains("warning[uncertain-column]"));
    for command in [&["check", "--db"][..], &["sql"], &["apply"], &["plan"]] {
        assert_eq!(said(command).await, "", "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_at_once_what_apply_refuses_of_the_relays_role_and_of_djangos_tables() {
    let django = Django::on(18).await;
    let folder = tempfile::tempdir().unwrap();
    let run = async |database: &str, settings: &str, watch: &str, arguments: &[&str]| {
        let toml = format!(
            "[database]\nurl = '{}'\n{database}[django]\nsecret_key = 'k'\n{settings}[[watch]]\nmodel = 'shop.Country'\n{watch}",
            django.database.url
        );
        std::fs::write(folder.path().join("instant.toml"), toml).unwrap();
        instant(folder.path(), arguments, &[]).await
    };
    let client = django.database.connect().await;
    for (database, settings, spoilt, code) in [
        ("relay_role = 'nobody at all'\n", "", "", "unknown-role"),
        ("", "user_model = 'club.Member'\n", "", "unknown-table"),
        ("", "user_table = 'club_member'\n", "", "unknown-table"),
        ("", "user_table = 'shop_country'\n", "", "no-users"),
        ("", "", "alter table django_session rename to sessions", "unknown-table"),
        ("", "", "alter table auth_user rename to users", "unknown-table"),
    ] {
        client.batch_execute(spoilt).await.unwrap();
        let refused = run(database, settings, "", &["apply"]).await;
        assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stdout));
        let checked = run(database, settings, "", &["check", "--db"]).await;
        let said = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(2), "{database}{settings}{spoilt}: {said}");
        assert!(
            said.contains(&format!("error[{code}]")) && checked.stdout.is_empty(),
            "{said}"
        );
    }
    let settings = "user_table = 'shop_country'\n";
    let checked = run(
        "relay_role = 'nobody at all'\n",
        settings,
        "fields = ['nmae']\n",
        &["check", "--db"],
    )
    .await;
    let place = format!("{}/", folder.path().display());
    assert_snapshot!("refused", text(&checked.stderr).replace(&place, ""));

    client
        .batch_execute("alter table sessions rename to django_session; alter table users rename to auth_user")
        .await
        .unwrap();
    for command in [&["check", "--db"][..], &["apply"]] {
        assert!(run("", "", "", command).await.status.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_read_plan_and_log_as_json_and_no_payload_is_logged() {
    let mut stack = Stack::start(15, ORDERS).await;
    let run = async |arguments: &[&str]| instant(stack.folder.path(), arguments, &[]).await;
    let same: Value = serde_json::from_slice(&run(&["plan", "--json"]).await.stdout).unwrap();
    assert_eq!(same, serde_json::json!([]));
    let client = stack.django.database.connect().await;
    client.batch_execute("drop trigger \"!instant\" on shop_order").await.unwrap();
    let plan = run(&["plan", "--json"]).await;
    assert_eq!(plan.status.code(), Some(3));
    let steps: Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert_snapshot!("plan", serde_json::to_string_pretty(&steps).unwrap());
    assert!(run(&["apply"]).await.status.success());

    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    stack.relay = Process::instant(stack.folder.path(), &["run", "--events", "--log", "json"], &[]);
    stack.relay.line("leading", SOON).await;
    stack.events("Order.objects.create(number='payload')").await;
    let line = stack.relay.line("published", SOON).await;
    let said = stack.relay.output();
    for line in said.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["outcome"], &line["level"]), (&"published".into(), &"INFO".into()));
    assert_eq!(line["message"], "shop.Order insert → public");
    assert!(!said.contains("payload"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dba_runs_the_printed_sql_and_the_relay_runs_as_a_role_that_can_do_nothing_else() {
    for version in postgres::versions() {
        let django = Django::on(version).await;
        let centrifugo = Centrifugo::start_new().await;
        let mut public = Subscriber::anonymous(&centrifugo, &["public"]).await;
        let folder = tempfile::tempdir().unwrap();
        write_config(&folder, &django, &centrifugo, ORDERS);
        let role = format!("relay_{}", django.database.name);
        let client = django.database.connect().await;
        client.batch_execute(&format!("create role {role} login")).await.unwrap();
        let path = folder.path().join("instant.toml");
        let with_role =
            std::fs::read_to_string(&path)
                .unwrap()
                .replacen("[database]\n", &format!("[database]\nrelay_role = '{role}'\n"), 1);
        std::fs::write(&path, with_role).unwrap();

        let script = instant(folder.path(), &["sql"], &[]).await;
        assert!(script.status.success(), "{}", text(&script.stderr));
        client.batch_execute(&text(&script.stdout)).await.unwrap();
        assert_eq!(instant(folder.path(), &["plan"], &[]).await.status.code(), Some(0));

        let url = django.database.url_as(&role);
        let environment = [("INSTANT_DATABASE_URL", url.as_str())];
        let relay = Process::instant(folder.path(), &["run"], &environment);
        relay.line("leading", SOON).await;
        assert!(!relay.output().contains("not as instant.toml wants it"), "{}", relay.output());
        django.run("Order.objects.create(number='1')").await;
        assert_eq!(public.next(SOON).await.value()["event_class"], "Order created");

        let relay_client = postgres::connect(&url).await;
        for statement in [
            "select * from shop_order",
            "insert into instant.outbox (source, op) values ('x', 'I')",
            "update instant.outbox set source = 'x'",
            "select password from auth_user",
            "create table instant.mine ()",
            "drop table instant.outbox",
            "alter table shop_order disable trigger \"!instant\"",
        ] {
            let refused = relay_client.batch_execute(statement).await.expect_err(statement);
            assert_eq!(
                refused.code(),
                Some(&SqlState::INSUFFICIENT_PRIVILEGE),
                "{statement}: {refused}"
            );
        }
    }
}
