//! `docs/how-to/production.md`: a real nginx with TLS before Django and Instant, and the unit's own command line.

use super::lesson::Lesson;
use super::nginx;
use crate::client::page::{chromium, is_clean};
use crate::support::django::Django;
use crate::support::postgres::free_port;
use crate::support::process::{Process, find};
use crate::support::wait::SOON;

/// Logs in as a browser does, whose forms Django takes from its own origin alone, and prints the session cookie.
const LOG_IN: &str = r#"
curl -sS --fail -o page -c jar ORIGIN/admin/login/
token=$(awk '$6 == "csrftoken" { print $7 }' jar)
curl -sS --fail -o page -b jar -c jar -e ORIGIN/ -H "Origin: ORIGIN" -H "X-CSRFToken: $token" -d 'username=ada&password=secret' ORIGIN/accounts/login/
grep sessionid jar
"#;

/// Sets the variables of the file that the unit reads.
fn environment(lesson: &mut Lesson) {
    let text = std::fs::read_to_string(lesson.folder().join("etc/instant/environment")).unwrap();
    for line in text.lines() {
        let (name, value) = line.split_once('=').unwrap();
        lesson.set(name, value);
    }
}

/// Starts what the unit starts.
async fn service(lesson: &Lesson) -> Process {
    let path = lesson.folder().join("etc/systemd/system/instant.service");
    let unit = std::fs::read_to_string(&path).unwrap();
    assert!(unit.contains("EnvironmentFile=-/etc/instant/environment"), "{unit}");
    if find("systemd-analyze").is_some() {
        let (succeeded, said) = lesson.try_sh(&format!("systemd-analyze verify {}", path.display())).await;
        assert!(succeeded && !said.contains("instant.service:"), "{said}");
    }
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let relay = lesson.begin(command);
    relay.line("leading", SOON).await;
    relay
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_and_script_go_through_nginx_with_tls_at_the_sites_own_address_and_the_rest_stays_inside() {
    if !nginx::is_installed() {
        return;
    }
    let django = Django::on(18).await;
    django
        .run("User.objects.create_user('ada', password='secret'); Order.objects.create(number='17')")
        .await;
    let mut lesson = Lesson::of("docs/how-to/production.md");
    lesson.copy_project();
    let https = free_port();
    let origin = format!("https://localhost:{https}");
    let folder = lesson.folder().to_str().unwrap().to_owned();
    for (theirs, ours) in [
        ("https://shop.example", &*origin),
        ("shop.example", "localhost"),
        ("listen 443 ", &format!("listen 127.0.0.1:{https} ")),
        ("/etc/", &format!("{folder}/etc/")),
        ("postgres://shop_relay@127.0.0.1/shop", &django.database.url),
        ("postgres://shop_owner@127.0.0.1/shop", &django.database.url),
    ] {
        lesson.replace(theirs, ours);
    }
    let (pages, _) = (lesson.port(8000), lesson.port(8001));
    nginx::certify(&mut lesson);
    std::fs::create_dir_all(lesson.folder().join("etc/systemd/system")).unwrap();

    lesson.write_files();
    environment(&mut lesson);
    let said = lesson.run().await;
    assert!(said.contains("done"), "{said}");
    lesson.run().await;
    lesson.pass("sh", "the unit is verified, and its command is run");
    let _relay = service(&lesson).await;
    lesson.write_files();
    let body = lesson.take("html");
    let _django = lesson.serve(pages).await;
    let _nginx = nginx::start(&lesson, https).await;

    let cookie = lesson.sh(&LOG_IN.replace("ORIGIN", &origin)).await;
    assert!(cookie.contains("\tTRUE\t"), "the cookie is for TLS alone: {cookie}");
    let session = cookie.trim().rsplit('\t').next().unwrap();
    let client = lesson.client(
        &format!("wss://localhost:{https}/connection/websocket"),
        &origin,
        session,
        &[],
    );
    client.line(r##""hears","channel":"#1""##, SOON).await;
    django.run("Order.objects.update(status='paid')").await;
    client.line(r#""channel":"users""#, SOON).await;

    let stream = "curl -sS -N --max-time 20 -d '{\"id\":1,\"connect\":{}}'";
    let said = lesson
        .sh(&format!("{stream} {origin}/connection/http_stream | head -c 20"))
        .await;
    assert!(said.contains("\"connect\""), "{said}");
    for inside in ["metrics", "healthz", "readyz", "api/info", "centrifugo/connect"] {
        let asked = format!("curl -sS -o /dev/null -w '%{{http_code}}' -X POST {origin}/{inside}");
        assert_eq!(lesson.sh(&asked).await, "404", "{inside} is Django's to answer");
    }
    if let Some(chromium) = chromium() {
        std::fs::create_dir_all(lesson.folder().join("pages")).unwrap();
        let hear = "<script>instant.on('*', ({ data }) => console.log(data.status))</script>";
        let html = format!("<!doctype html><link rel=icon href='data:,'>{body}{hear}");
        std::fs::write(lesson.folder().join("pages/shop.html"), html).unwrap();
        let page = lesson.visit(&chromium, &format!("{origin}/pages/shop.html"), session);
        page.line("page: ready", SOON * 2).await;
        page.line(&format!("socket: wss://localhost:{https}/"), SOON).await;
        django.run("Order.objects.update(status='sent')").await;
        page.line("console: sent", SOON).await;
        is_clean(&page);
    }
    let said = lesson.run().await;
    assert!(said.contains("\"role\":\"leading\""), "{said}");
    lesson.finish();
}
