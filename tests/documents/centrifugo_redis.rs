//! `docs/how-to/centrifugo-redis.md`: two real nodes that share a real Redis, behind nginx where that is installed.

use std::io::Write as _;

use serde_json::json;

use super::lesson::Lesson;
use super::nginx;
use crate::support::cache;
use crate::support::centrifugo::Centrifugo;
use crate::support::django::Django;
use crate::support::document::snippets;
use crate::support::postgres::free_port;
use crate::support::redis::Redis;
use crate::support::wait::{SOON, eventually};

/// The site of the how-to for production, with this page's locations in place of its own.
fn site(lesson: &mut Lesson) {
    let (upstream, locations) = (lesson.take("nginx"), lesson.take("nginx"));
    let page = snippets("docs/how-to/production.md");
    let site = page.into_iter().find(|snippet| snippet.language == "nginx").unwrap().text;
    let (before, own) = site.split_once("    # Sockets,").unwrap();
    assert_eq!(own.matches("location").count(), 2, "{own}");
    let folder = lesson.folder().join("etc/nginx/conf.d");
    std::fs::create_dir_all(&folder).unwrap();
    let site = lesson.adapted(&format!("{before}{locations}}}\n"));
    std::fs::write(folder.join("centrifugo.conf"), upstream).unwrap();
    std::fs::write(folder.join("shop.conf"), site).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_publications_presence_and_history_and_one_may_end() {
    let Some(redis) = Redis::start().await else {
        let why = "skipped: Redis is not installed here; `tests/tools/setup` installs it, as root on Debian\n";
        std::io::stderr().write_all(why.as_bytes()).unwrap();
        return;
    };
    if !nginx::is_installed() {
        return;
    }
    let django = Django::on(18).await;
    django.run("User.objects.create_user('ada')").await;
    let mut lesson = Lesson::of("docs/how-to/centrifugo-redis.md");
    lesson.copy_project();
    let https = free_port();
    let origin = format!("https://localhost:{https}");
    let folder = lesson.folder().to_str().unwrap().to_owned();
    for (theirs, ours) in [
        ("https://shop.example", &*origin),
        ("shop.example", "localhost"),
        ("listen 443 ", &format!("listen 127.0.0.1:{https} ")),
        ("/etc/", &format!("{folder}/etc/")),
        ("redis://127.0.0.1:6379", &redis.address),
    ] {
        lesson.replace(theirs, ours);
    }
    lesson.port(8000);
    lesson.port(8001);
    let ports = [lesson.port(8002), lesson.port(8003)];
    std::fs::create_dir(lesson.folder().join("bin")).unwrap();
    std::os::unix::fs::symlink(cache::path("centrifugo-6.9.1"), lesson.folder().join("bin/centrifugo")).unwrap();
    for (name, value) in [
        ("DATABASE_URL", &*django.database.url),
        ("DJANGO_SECRET_KEY", "a key for tests and demos"),
        ("CENTRIFUGO_API_KEY", "an api key"),
    ] {
        lesson.set(name, value);
    }
    nginx::certify(&mut lesson);

    lesson.write_files();
    lesson.sh("instant apply").await;
    lesson.run().await;
    lesson.exports();
    lesson.add_to_path(&format!("{folder}/bin"));
    let _first = lesson.start();
    let mut second = lesson.start();
    for port in ports {
        eventually(SOON, "a node", async || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        })
        .await;
    }
    site(&mut lesson);
    let _nginx = nginx::start(&lesson, https).await;
    let relay = lesson.begin("instant run");
    relay.line("leading", SOON).await;

    let session = lesson.session("ada").await;
    let url = format!("wss://localhost:{https}/connection/websocket");
    let through = lesson.client(&url, &origin, &session, &["orders:all"]);
    let [one, two] = ports.map(|port| {
        let url = format!("ws://127.0.0.1:{port}/connection/websocket");
        lesson.client(&url, &origin, &session, &["orders:all"])
    });
    for client in [&through, &one, &two] {
        client.line(r#""subscribed","channel":"orders:all""#, SOON).await;
    }
    let nodes = ports.map(|port| Centrifugo::at(&format!("http://127.0.0.1:{port}"), "an api key"));
    django.run("Order.objects.create(number='A-1')").await;
    for client in [&through, &one, &two] {
        client.line("A-1", SOON).await;
    }
    for node in &nodes {
        let present = node.call("presence", &json!({ "channel": "orders:all" })).await;
        assert_eq!(present["result"]["presence"].as_object().unwrap().len(), 3, "{present}");
        let kept = node.call("history", &json!({ "channel": "orders:all", "limit": 10 })).await;
        assert_eq!(kept["result"]["publications"].as_array().unwrap().len(), 1, "{kept}");
    }

    let behind = lesson.client(&url, &origin, &session, &["orders:all"]);
    behind.line(r#""subscribed","channel":"orders:all""#, SOON).await;
    second.signal("TERM").await;
    second.wait(SOON * 2).await;
    django.run("Order.objects.create(number='A-2')").await;
    for client in [&through, &behind] {
        client.line("A-2", SOON).await;
    }
    let reconnected = [&through, &behind].map(|client| client.output().matches(r#""connected""#).count());
    assert!(
        reconnected.contains(&2),
        "nobody was at the node that has ended: {reconnected:?}"
    );
    lesson.run().await;
    lesson.finish();
}
