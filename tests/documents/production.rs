//! `docs/how-to/production.md`: a real nginx with TLS in front of Django and Instant, and the unit's own command line.

use tokio::io::AsyncReadExt as _;

use super::lesson::Lesson;
use super::nginx;
use crate::client::page::{chromium, is_clean};
use crate::support::cache::manifest;
use crate::support::postgres::{Cluster, free_port};
use crate::support::process::{Process, find};
use crate::support::wait::SOON;

/// A key as Django generates it: unquoted, a shell would interpret many of its characters.
const KEY: &str = "a$b&(c)*#d!e=f^%g@h-_+";

const ROWS: &str = "
from django.contrib.auth.models import User
from shop.models import Order
User.objects.create_user('ada', password='secret')
Order.objects.create(number='17')
";

/// Python that changes every order.
const UPDATE: &str = "from shop.models import Order; Order.objects.update";

/// Logs in as a browser does, whose forms Django accepts only from its own origin, and prints the session cookie.
const LOG_IN: &str = r#"
curl -sS --fail -o page -c jar ORIGIN/admin/login/
token=$(awk '$6 == "csrftoken" { print $7 }' jar)
curl -sS --fail -o page -b jar -c jar -e ORIGIN/ -H "Origin: ORIGIN" -H "X-CSRFToken: $token" -d 'username=ada&password=secret' ORIGIN/accounts/login/
grep sessionid jar
"#;

/// Sets the variables of the file that the unit reads, as systemd parses them: single-quoted text is literal.
/// A shell parses it the same way.
async fn environment(lesson: &mut Lesson) {
    let text = std::fs::read_to_string(lesson.folder().join("etc/instant/environment")).unwrap();
    for line in text.lines() {
        let (name, value) = line.split_once('=').unwrap();
        let value = value
            .strip_prefix('\'')
            .and_then(|value| value.strip_suffix('\''))
            .expect(line);
        let read = format!(". ./etc/instant/environment\nprintf %s \"${name}\"");
        assert_eq!(lesson.sh(&read).await, value);
        lesson.set(name, value);
    }
}

/// Starts the unit's command.
async fn service(lesson: &Lesson) -> Process {
    let path = lesson.folder().join("etc/systemd/system/instant.service");
    let unit = std::fs::read_to_string(&path).unwrap();
    for line in [
        "EnvironmentFile=-/etc/instant/environment",
        "ExecReload=/bin/kill -HUP $MAINPID",
    ] {
        assert!(unit.contains(line), "{unit}");
    }
    if find("systemd-analyze").is_some() {
        let (succeeded, said) = lesson.try_sh(&format!("systemd-analyze verify {}", path.display())).await;
        assert!(succeeded && !said.contains("instant.service:"), "{said}");
    }
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let relay = lesson.begin(command);
    relay.line("leading", SOON).await;
    relay
}

/// Starts the service of the second machine.
async fn second(lesson: &Lesson, port: u16) -> Process {
    let page = std::fs::read_to_string(manifest("docs/how-to/production.md")).unwrap();
    assert!(page.contains("`listen = \"10.0.0.2:8001\"`"));
    let folder = lesson.folder().join("etc/instant");
    let toml = std::fs::read_to_string(folder.join("instant.toml")).unwrap();
    let (own, other) = (format!("\"127.0.0.1:{port}\""), format!("\"127.0.0.2:{port}\""));
    assert!(toml.contains(&own), "{toml}");
    std::fs::write(folder.join("second.toml"), toml.replace(&own, &other)).unwrap();
    let second = lesson.begin("instant --config etc/instant/second.toml run --log json");
    second.line("standby: another relay leads", SOON).await;
    second
}

/// Stops the service of the first machine, whose clients nginx sends to the second one.
async fn takes_over(lesson: &Lesson, (origin, port): (&str, u16), first: &Process, client: &Process, second: Process) {
    let leads = |address: &str| format!("curl -sS -o /dev/null -w '%{{http_code}}' 'http://{address}:{port}/readyz?leading'");
    let asked = [lesson.sh(&leads("127.0.0.1")).await, lesson.sh(&leads("127.0.0.2")).await];
    assert_eq!(asked, ["200", "503"]);
    // nginx asks one after the other.
    let ask = format!(
        "for i in 1 2 3 4; do curl -sS -o /dev/null -w '%{{http_code}} ' -d '{{\"session\":\"\",\"data\":\"\"}}' {origin}/emulation; done"
    );
    assert_eq!(
        lesson.sh(&ask).await,
        "404 404 404 404 ",
        "the one that leads knows no such session"
    );
    let (connected, heard) = (r##""hears","channel":"#1""##, r#""channel":"users""#);
    let before = (client.count(connected), client.count(heard));
    first.signal("TERM").await;
    second.line("\"leading\"", SOON).await;
    client.another_line(connected, before.0, SOON).await;
    lesson.python(&format!("{UPDATE}(status='ready')")).await;
    client.another_line(heard, before.1, SOON).await;
    assert_eq!(lesson.sh(&ask).await, "404 404 404 404 ");

    // In the place of the first, one that takes a request and ends before it answers.
    let dying = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let dying = tokio::spawn(async move {
        loop {
            let (mut socket, _) = dying.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await;
        }
    });
    assert_eq!(lesson.sh(&ask).await, "404 404 404 404 ", "the next one is asked");
    let sent = lesson.sh(&ask.replace("/emulation", "/live/send")).await;
    let (mut told, mut answered) = (0, 0);
    for code in sent.split_whitespace() {
        match code {
            "502" => told += 1,
            "403" => answered += 1,
            other => panic!("{other} in {sent}"),
        }
    }
    assert_eq!(
        (told, answered),
        (2, 2),
        "a message that may have been sent is not sent again: {sent}"
    );
    dying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_and_script_go_through_nginx_with_tls_at_the_sites_own_address_and_the_rest_stays_inside() {
    if !nginx::is_installed() {
        return;
    }
    // Roles are the whole cluster's.
    let cluster = Cluster::start_new(18, &[]).await;
    let database = cluster.database().await;
    let (owner, relay) = (database.url_as("shop_owner"), database.url_as("shop_relay"));
    let roles = format!(
        "create role shop_owner login; create role shop_relay login; grant create on schema public to shop_owner; \
         grant create on database {} to shop_owner",
        database.name
    );
    database.connect().await.batch_execute(&roles).await.unwrap();
    let mut lesson = Lesson::of("docs/how-to/production.md");
    lesson.copy_project();
    lesson.set("DATABASE_URL", &owner);
    lesson.set("DJANGO_SECRET_KEY", KEY);
    lesson.sh("python manage.py migrate -v 0").await;
    lesson.python(ROWS).await;
    let https = free_port();
    let origin = format!("https://localhost:{https}");
    let folder = lesson.folder().to_str().unwrap().to_owned();
    for (theirs, ours) in [
        ("https://shop.example", &*origin),
        ("shop.example", "localhost"),
        // Another address of this machine, on the same port.
        ("#server 10.0.0.2", "server 127.0.0.2"),
        ("listen 443 ", &format!("listen 127.0.0.1:{https} ")),
        ("/etc/", &format!("{folder}/etc/")),
        ("postgres://shop_relay@127.0.0.1/shop", &relay),
        ("postgres://shop_owner@127.0.0.1/shop", &owner),
        ("a-long-random-key", KEY),
    ] {
        lesson.replace(theirs, ours);
    }
    let (pages, port) = (lesson.port(8000), lesson.port(8001));
    nginx::certify(&mut lesson);
    std::fs::create_dir_all(lesson.folder().join("etc/systemd/system")).unwrap();

    lesson.write_files();
    environment(&mut lesson).await;
    let said = lesson.run().await;
    assert!(said.contains("done"), "{said}");
    lesson.run().await;
    lesson.pass("sh", "the unit is verified, and its command is run");
    let service = service(&lesson).await;
    lesson.pass("sh", "the signal that the unit reloads with is sent");
    service.signal("HUP").await;
    service.line("the rules were read again", SOON).await;
    lesson.write_files();
    let body = lesson.take("html");
    lesson.set("DATABASE_URL", &owner);
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
    lesson.python(&format!("{UPDATE}(status='paid')")).await;
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
        lesson.python(&format!("{UPDATE}(status='sent')")).await;
        page.line("console: sent", SOON).await;
        is_clean(&page);
    }
    lesson.set("DATABASE_URL", &relay);
    let said = lesson.run().await;
    assert!(said.contains("\"role\":\"leading\""), "{said}");

    let second = second(&lesson, port).await;
    lesson.set("DATABASE_URL", &owner);
    takes_over(&lesson, (&origin, port), &service, &client, second).await;
    lesson.finish();
}
