//! A database that is moved, or restored to an earlier state.

use std::process::Stdio;

use tempfile::TempDir;
use tokio_postgres::error::SqlState;

use super::{Stack, expect};
use crate::support::cache;
use crate::support::postgres::{self, Cluster, Database};
use crate::support::process::{Process, instant};
use crate::support::wait::SOON;

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
