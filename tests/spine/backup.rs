//! Logical backups of a watched database, and their restore.

use std::path::Path;
use std::process::Output;

use super::{Stack, expect};
use crate::support::cache;
use crate::support::postgres;
use crate::support::process::{Process, instant};
use crate::support::wait::SOON;

/// Runs one of PostgreSQL's programs.
async fn program(version: u32, name: &str, arguments: &[&str]) -> Output {
    let path = cache::path(&format!("postgres-{version}/bin/{name}"));
    tokio::process::Command::new(path).args(arguments).output().await.unwrap()
}

/// Dumps a database into a file; returns the errors.
async fn dump(version: u32, url: &str, file: &Path, arguments: &[&str]) -> Result<(), String> {
    let file = file.to_str().unwrap();
    let arguments = [&["--format", "custom", "--dbname", url, "--file", file], arguments].concat();
    let ended = program(version, "pg_dump", &arguments).await;
    if ended.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&ended.stderr).into_owned())
    }
}

/// Restores such a file; returns the errors.
async fn restore(version: u32, file: &Path, url: &str, arguments: &[&str]) -> String {
    let arguments = [&["--dbname", url], arguments, &[file.to_str().unwrap()]].concat();
    let ended = program(version, "pg_restore", &arguments).await;
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_by_another_role_needs_the_right_to_read_all_and_one_without_instants_schema_is_completed_by_apply() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, "").await;
        let database = &stack.django.database;
        let role = format!("backup_of_{}", database.name);
        let (url, client) = (database.url_as(&role), database.connect().await);
        let run = async |statement: &str| client.batch_execute(&statement.replace("ROLE", &role)).await.unwrap();
        run("create role ROLE login;
             grant select on all tables in schema public to ROLE; grant select on all sequences in schema public to ROLE")
        .await;
        let (whole, bare) = (stack.folder.path().join("whole"), stack.folder.path().join("bare"));
        let refused = dump(version, &url, &whole, &[]).await.unwrap_err();
        assert!(refused.contains("permission denied for schema instant"), "{refused}");
        let explicit = "grant usage on schema instant to ROLE; grant select on all tables in schema instant to ROLE;
                        grant select on all sequences in schema instant to ROLE";
        run(explicit).await;
        dump(version, &url, &whole, &[]).await.unwrap();
        run(&explicit.replace("grant", "revoke").replace(" to ", " from ")).await;
        run("grant pg_read_all_data to ROLE").await;
        dump(version, &url, &whole, &[]).await.unwrap();
        run("revoke pg_read_all_data from ROLE").await;
        dump(version, &url, &bare, &["--exclude-schema", "instant"]).await.unwrap();

        let target = database.cluster.create(&format!("bare_{}", database.name), "template1").await;
        let said = restore(version, &bare, &target.url, &["--single-transaction"]).await;
        assert!(said.contains("schema \"instant\" does not exist"), "{said}");
        let said = restore(version, &bare, &target.url, &[]).await;
        assert!(said.contains("errors ignored on restore: 2"), "{said}");
        let plan = ["plan", "--database-url", &target.url];
        assert_eq!(instant(stack.folder.path(), &plan, &[]).await.status.code(), Some(3));
        stack.command(&["apply", "--database-url", &target.url], 0).await;
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        stack.relay = Process::instant(stack.folder.path(), &["run", "--database-url", &target.url], &[]);
        stack.relay.line("leading", SOON).await;
        let written = target.connect().await;
        written
            .batch_execute("insert into shop_country (code, name) values ('new', '')")
            .await
            .unwrap();
        expect(&[stack.public.next(SOON).await.value()], &[("Country created", "new".into())]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_loaded_into_a_watched_database_are_told_one_by_one_unless_triggers_are_off() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, "").await;
        let database = &stack.django.database;
        let client = database.connect().await;
        client
            .batch_execute("insert into shop_country (code, name) values ('kept', '')")
            .await
            .unwrap();
        expect(
            &[stack.public.next(SOON).await.value()],
            &[("Country created", "kept".into())],
        );
        let file = stack.folder.path().join("dump");
        dump(version, &database.url, &file, &[]).await.unwrap();
        let load = async |arguments: &[&str]| {
            client
                .batch_execute("set session_replication_role = replica; truncate shop_country cascade")
                .await
                .unwrap();
            let arguments = [&["--data-only", "--table", "shop_country"], arguments].concat();
            let said = restore(version, &file, &database.url, &arguments).await;
            assert!(said.is_empty(), "{said}");
        };
        load(&["--disable-triggers"]).await;
        client.batch_execute("select nextval('instant.lost')").await.unwrap();
        assert_eq!(stack.public.next(SOON).await.value()["event_class"], "instant.resync");
        load(&[]).await;
        expect(
            &[stack.public.next(SOON).await.value()],
            &[("Country created", "kept".into())],
        );
        let said = restore(version, &file, &database.url, &["--data-only", "--schema", "instant"]).await;
        assert!(
            said.contains("relay_pkey") && said.contains("_sqlx_migrations_pkey"),
            "{said}"
        );
    }
}
