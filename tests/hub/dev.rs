//! `instant dev`: from a file to live rows with one command.

use serde_json::json;
use tempfile::TempDir;

use crate::support::centrifugo::Centrifugo;
use crate::support::django::Django;
use crate::support::postgres::{free_port, versions};
use crate::support::process::{Process, instant};
use crate::support::site::Browser;
use crate::support::wait::SOON;

const ORDERS: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'status']
[[watch.rule]]
on = 'insert'
target = 'public'
message = 'Order {{ row.number }}'
[[watch.rule]]
on = 'update'
changed = 'status'
target = 'public'
";

/// A folder with an instant.toml that also names a Centrifugo, which is not running.
fn project(django: &Django, port: u16, watches: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, django, port, watches);
    folder
}

fn write(folder: &TempDir, django: &Django, port: u16, watches: &str) {
    let text = format!(
        "[database]\nurl = '{}'\n[centrifugo]\nurl = 'http://127.0.0.1:9'\napi_key = 'key'\n\
         [server]\nlisten = '127.0.0.1:{port}'\nallowed_origins = ['https://shop.example']\n{watches}",
        django.database.url
    );
    std::fs::write(folder.path().join("instant.toml"), text).unwrap();
}

async fn schemas(django: &Django) -> i64 {
    let client = django.database.connect().await;
    let found = client
        .query_one("select count(*) from pg_namespace where nspname = 'instant'", &[])
        .await;
    found.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_applies_publishes_shows_and_follows_a_changed_file_and_leaves_nothing() {
    for version in versions() {
        let django = Django::on(version).await;
        let port = free_port();
        let folder = project(&django, port, ORDERS);
        let mut dev = Process::instant(folder.path(), &["dev", "--clean"], &[]);
        dev.line("create trigger", SOON).await;
        dev.line("waiting for changes", SOON).await;
        let hub = Centrifugo::at(&format!("http://127.0.0.1:{port}"), "");
        let page = Browser::of_page(&hub, "http://localhost:8000", "", json!({})).await;
        let mut page = page.unwrap();
        django.run("o = Order.objects.create(number='A-1')").await;
        dev.line("shop.Order 1 insert → public  \"Order created\"", SOON).await;
        assert_eq!(page.next().await.unwrap().1["message"], "Order A-1");
        django.run("o.number = 'A-2'; o.save()").await;
        dev.line(
            "→ nowhere: rule 1: `on` does not name it; rule 2: no field in `changed` has changed",
            SOON,
        )
        .await;

        write(&folder, &django, port, "[[watch]\n");
        dev.line("the old ones go on", SOON).await;
        let both = format!("{ORDERS}[[watch]]\nmodel = 'shop.Tag'\n[[watch.rule]]\ntarget = 'public'\n");
        write(&folder, &django, port, &both);
        dev.line("instant.toml was read again; watched tables: 2", SOON).await;
        django.run("Tag.objects.create(name='new')").await;
        dev.line("shop.Tag 1 insert → public  \"Tag created\"", SOON).await;
        assert_eq!(page.next().await.unwrap().1["event_class"], "Tag created");

        dev.signal(if version == 18 { "TERM" } else { "INT" }).await;
        let ended = dev.wait(SOON).await;
        assert!(ended.success(), "{}", dev.output());
        assert_eq!(schemas(&django).await, 0, "{}", dev.output());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_the_database_before_is_not_cleaned_away() {
    let django = Django::on(18).await;
    let folder = project(&django, free_port(), ORDERS);
    assert!(instant(folder.path(), &["apply"], &[]).await.status.success());
    let mut dev = Process::instant(folder.path(), &["dev", "--clean"], &[]);
    dev.line("waiting for changes", SOON).await;
    dev.signal("INT").await;
    dev.wait(SOON).await;
    assert!(dev.output().contains("nothing was removed"), "{}", dev.output());
    assert_eq!(schemas(&django).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_nobody_watches_is_a_wrong_call_which_installs_nothing() {
    let django = Django::on(18).await;
    let folder = project(&django, free_port(), ORDERS);
    let output = instant(folder.path(), &["dev", "--model", "shop.Ordr"], &[]).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("did you mean `shop.Order`?"), "{said}");
    assert_eq!(schemas(&django).await, 0);
}
