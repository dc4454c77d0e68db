//! A database that is moved, or restored to an earlier state.

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::error::SqlState;

use super::{Stack, expect};
use crate::support::cache;
use crate::support::client::Publication;
use crate::support::django::Django;
use crate::support::postgres::{self, Cluster, Database};
use crate::support::process::{Process, instant};
use crate::support::proxy::{Mode, Proxy};
use crate::support::wait::{SOON, eventually};

/// Copies a database by a dump with these options, as an upgrade between versions does.
async fn copy(from: &Database, to: &Database, options: &[&str]) {
    let version = from.cluster.version.max(to.cluster.version);
    let program = |name: &str| tokio::process::Command::new(cache::path(&format!("postgres-{version}/bin/{name}")));
    let dump = program("pg_dump")
        .args(["--dbname", &from.url])
        .args(options)
        .output()
        .await
        .unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.sql");
    std::fs::write(&file, dump.stdout).unwrap();
    let mut restore = program("psql");
    restore
        .args([
            "--quiet",
            "--no-psqlrc",
            "--set",
            "ON_ERROR_STOP=1",
            "--dbname",
            &to.url,
            "--file",
        ])
        .arg(&file);
    let output = restore.stdout(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A folder with the configuration of `stack` for another database.
fn configured(stack: &Stack, database: &Database) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = std::fs::read_to_string(stack.folder.path().join("instant.toml")).unwrap();
    let config = config.replace(&stack.django.database.url, &database.url);
    std::fs::write(folder.path().join("instant.toml"), config).unwrap();
    folder
}

/// Runs a command in this folder; returns how it ends, and its output.
async fn command(folder: &TempDir, arguments: &[&str]) -> (i32, String) {
    let output = instant(folder.path(), arguments, &[]).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_without_our_rows_is_recognised_and_begins_anew() {
    const WAY_ON: &str = "`instant remove`, then `instant apply`";
    let mut stack = Stack::start(18, "").await;
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    for (options, of_the_schema) in [
        ("--schema-only", true),
        ("--exclude-table-data=instant.*", true),
        ("--exclude-table-data=instant.relay", false),
    ] {
        let target = stack.django.database.cluster.database().await;
        copy(&stack.django.database, &target, &[options]).await;
        let folder = configured(&stack, &target);
        if of_the_schema {
            for name in ["plan", "apply"] {
                let (code, said) = command(&folder, &[name]).await;
                assert!(code == 1 && said.contains(WAY_ON), "{name}: {code} {said}");
            }
        }
        for name in ["run", "adopt"] {
            let (code, said) = command(&folder, &[name]).await;
            assert!(code == 1 && said.contains(WAY_ON), "{name}: {code} {said}");
        }
        let (code, said) = command(&folder, &["doctor"]).await;
        assert!(code == 3 && said.contains("instant remove; instant apply"), "{said}");
        // The site writes on meanwhile.
        let client = target.connect().await;
        let write = "insert into shop_country (code, name) values ($1, '')";
        client.execute(write, &[&"early"]).await.unwrap();
        for arguments in [&["remove", "--yes"][..], &["apply"], &["plan"]] {
            let (code, said) = command(&folder, arguments).await;
            assert_eq!(code, 0, "{arguments:?}: {said}");
        }
        client.execute(write, &[&"late"]).await.unwrap();
        let captured = client.query_one("select count(*) from instant.outbox", &[]).await.unwrap();
        assert_eq!(captured.get::<_, i64>(0), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_elsewhere_is_recognised_and_goes_on_with_one_command_that_skips_nothing() {
    // An upgrade by dump and restore, and a move within a version.
    for (from, to) in [(15, 18), (18, 18)] {
        let mut stack = Stack::start(from, "").await;
        stack.events("Country.objects.create(code='settled', name='')").await;
        stack.settled().await;
        stack.relay.signal("TERM").await;
        assert!(stack.relay.wait(SOON).await.success());
        stack
            .django
            .run("Country.objects.bulk_create([Country(code=f'waits{i}', name='') for i in range(3)])")
            .await;
        let target = Cluster::start_new(to, &[]).await.database().await;
        copy(&stack.django.database, &target, &[]).await;
        let written = target.connect().await;
        // The site may be at work before anyone thinks of Instant.
        written
            .batch_execute("insert into shop_country (code, name) values ('early', '')")
            .await
            .unwrap();
        let folder = configured(&stack, &target);
        let run = async |arguments: &[&str]| command(&folder, arguments).await;
        let (code, said) = run(&["run"]).await;
        assert!(code == 1 && said.contains("`instant adopt`"), "{code} {said}");
        let (code, said) = run(&["doctor", "--json"]).await;
        assert!(
            code == 3 && said.contains("foreign-cursor") && said.contains("instant adopt"),
            "{said}"
        );
        let (code, said) = run(&["adopt"]).await;
        assert!(code == 0 && said.contains("continues with 4 unsettled changes"), "{said}");
        assert_eq!(
            run(&["adopt"]).await,
            (0, "nothing to do: the cursor belongs to this cluster\n".to_owned())
        );
        let relay = Process::instant(folder.path(), &["run"], &[]);
        relay.line("subscribers were told to reload", SOON).await;
        written
            .batch_execute("insert into shop_country (code, name) values ('late', '')")
            .await
            .unwrap();
        let (mut heard, mut resyncs) = (Vec::new(), 0);
        while heard.last().is_none_or(|last| last != "late") {
            let event = stack.public.next(SOON).await.value();
            if event["event_class"] == "instant.resync" {
                resyncs += 1;
            } else {
                heard.push(event["pk"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(heard, ["waits0", "waits1", "waits2", "early", "late"]);
        assert_eq!(resyncs, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_within_the_cluster_one_statement_of_the_owner_has_subscribers_reload() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, "").await;
        let before = &stack.django.database;
        let target = before.cluster.create(&format!("restored_{}", before.name), "template1").await;
        copy(before, &target, &[]).await;
        stack.events("Country.objects.create(code='gone', name='')").await;
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        let url = ["--database-url", &target.url];
        let said = stack.command(&[&["adopt"], &url[..]].concat(), 0).await;
        assert_eq!(said, "nothing to do: the cursor belongs to this cluster\n");
        let role = format!("reader_of_{}", target.name);
        let client = target.connect().await;
        let grants =
            format!("create role {role} login; grant usage on schema instant to {role}; grant select on instant.lost to {role}");
        client.batch_execute(&grants).await.unwrap();
        let count = "select nextval('instant.lost')";
        let refused = postgres::connect(&target.url_as(&role))
            .await
            .batch_execute(count)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "as the relay's role");
        stack.relay = Process::instant(stack.folder.path(), &["run", url[0], url[1]], &[]);
        stack.relay.line("leading", SOON).await;
        client
            .batch_execute("insert into shop_country (code, name) values ('gone', '')")
            .await
            .unwrap();
        expect(
            &[stack.public.next(SOON).await.value()],
            &[("Country created", "gone".into())],
        );
        client.batch_execute(count).await.unwrap();
        assert_eq!(stack.public.next(SOON).await.value()["event_class"], "instant.resync");
        stack.relay.line("subscribers were told to reload", SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_after_a_crash_that_took_others_back_are_heard_although_their_ids_come_again() {
    for version in postgres::versions() {
        // Nothing is written to the log but what somebody waits for.
        let settings = [
            "synchronous_commit=off",
            "wal_writer_delay=10000ms",
            "wal_writer_flush_after=1GB",
        ];
        let cluster = Cluster::start_new(version, &settings).await;
        let mut stack = Stack::on(Django::new(&cluster).await, "").await;
        let connect = async || stack.django.database.connect().await;
        let run = async |statement: &str| connect().await.batch_execute(statement).await.unwrap();
        let one = async |query: &str| connect().await.query_one(query, &[]).await.unwrap().get::<_, i64>(0);
        let write = async |name: &str| {
            let statement =
                format!("insert into shop_country (code, name) select '{name}' || n, '' from generate_series(1, 20) n");
            run(&statement).await;
        };
        let last = "select last_value from instant.outbox_id_seq";
        let id = |event: &Value| event["id"].as_str().unwrap().split('-').next().unwrap().to_owned();
        let mut gone = Vec::new();
        for attempt in 0.. {
            // What there is up to here is there for good.
            run("checkpoint").await;
            let name = format!("gone{attempt}-");
            write(&name).await;
            gone.clear();
            for _ in 0..20 {
                gone.push(id(&stack.public.next(SOON).await.value()));
            }
            let before = one(last).await;
            cluster.crash().await;
            cluster.start().await;
            // PostgreSQL may have written some of its log by itself; then the crash did not take everything back.
            let left = one(&format!("select count(*) from shop_country where code like '{name}%'")).await;
            if left == 0 && one(last).await < before {
                break;
            }
        }
        write("new").await;
        let mut reused = None;
        for number in 1..=20 {
            let event = stack.public.next(SOON).await.value();
            assert_eq!(event["pk"], json!(format!("new{number}")));
            reused = reused.or(gone.contains(&id(&event)).then(|| id(&event)));
        }
        // The control: under the id alone, without its moment, what came after the crash would be taken for what was before it.
        let id = reused.expect("an id came again");
        for data in ["gone", "new"] {
            let request = json!({ "channel": "public", "data": data, "idempotency_key": id });
            stack.centrifugo.call("publish", &request).await;
        }
        stack.centrifugo.publish("public", &json!("marker")).await;
        let heard = stack.public.take(2, SOON).await;
        assert_eq!(heard.iter().map(Publication::value).collect::<Vec<_>>(), ["gone", "marker"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a version that is left out is named")]
async fn a_promoted_standby_is_gone_on_with_where_its_primary_ended() {
    for version in postgres::versions() {
        let cluster = Cluster::start_new(version, &["wal_level=replica", "max_wal_senders=5"]).await;
        let mut stack = Stack::on(Django::new(&cluster).await, "").await;
        let Some(standby) = cluster.standby().await else {
            eprintln!("PostgreSQL {version} has no pg_basebackup here: no standby can be made of it");
            continue;
        };
        // A commit is seen by nobody before the standby has it; what is not acknowledged yet may be lost, and is heard by nobody.
        let primary = stack.django.database.connect().await;
        for statement in ["alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"] {
            primary.batch_execute(statement).await.unwrap();
        }
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        let proxy = Proxy::to(&stack.django.database.url).await;
        let far = proxy.url(&stack.django.database.url);
        // The subscriber stays while Centrifugo cannot be reached, and so hears all that is published.
        let way = Proxy::to(&stack.centrifugo.url).await;
        stack.reconfigure(&stack.centrifugo.url, &way.url(&stack.centrifugo.url));
        stack.relay = Process::instant(stack.folder.path(), &["run"], &[("INSTANT_DATABASE_URL", &far)]);
        stack.relay.line("leading", SOON).await;
        let events = stack.events("Country.objects.create(code='a', name='')").await;
        expect(&events, &[("Country created", "a".into())]);
        way.set(Mode::Cut);
        let many = "insert into shop_country (code, name) select 'b' || n, '' from generate_series(1, 50) n";
        primary.batch_execute(many).await.unwrap();

        cluster.crash().await;
        let url = standby.url(&stack.django.database.name);
        proxy.retarget(&url);
        // It may not be written yet, which is no reason to give up.
        stack.relay.line("during recovery", SOON).await;
        standby.promote().await;
        let client = postgres::connect(&url).await;
        client
            .batch_execute("insert into shop_country (code, name) values ('c', '')")
            .await
            .unwrap();
        way.set(Mode::Pass);
        client
            .batch_execute("insert into shop_country (code, name) values ('d', '')")
            .await
            .unwrap();
        // The standby may know an older cursor: what was heard before is sent again, under the keys that Centrifugo knows.
        let wanted = (1..=50).map(|number| format!("b{number}"));
        for pk in wanted.chain(["c", "d"].map(str::to_owned)) {
            assert_eq!(stack.public.next(SOON).await.value()["pk"], pk);
        }
        let parked: i64 = client
            .query_one("select count(*) from instant.dead_letter", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(parked, 0);
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
