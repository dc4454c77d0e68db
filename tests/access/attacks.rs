//! Attempts of a penetration tester, and the code that each ends in.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::process::Process;
use crate::support::site::{Browser, ORIGIN, Site};
use crate::support::wait::{SOON, eventually, within};

const RULES: &str = "
[channels.'room:{room_id}']
allow = 'select 1 from shop_order where id = $room_id and $user_id > 0'
[channels.'tag:{name}']
allow = 'select 1 from shop_tag where name = $name'
";

/// Sends requests, sixteen at a time, until one is refused as too many.
pub(super) async fn refused_at_last(what: &str, ask: impl AsyncFn() -> u16) {
    eventually(SOON * 3, what, async || {
        let codes = futures_util::future::join_all((0..16).map(|_| ask())).await;
        codes.contains(&429).then_some(())
    })
    .await;
}

/// Sends bytes, and returns the answer up to the end of the connection.
async fn raw(site: &Site, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(site.url.trim_start_matches("http://")).await.unwrap();
    // A server that has answered may have closed its end already.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = within(SOON * 3, "the end of a connection", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_centrifugo_may_ask_the_proxies() {
    let site = Site::start(18, RULES).await;
    let cookie = format!("sessionid={}", site.new_user("user").await);
    let secret = site.secret();
    for path in ["connect", "subscribe", "refresh"] {
        for wrong in [
            "",
            "x",
            &secret[1..],
            &secret[..secret.len() - 1],
            &secret.to_uppercase(),
            &format!("{secret} x"),
        ] {
            let request = site
                .http
                .post(format!("{}/centrifugo/{path}", site.url))
                .header("Cookie", &cookie);
            let request = if wrong.is_empty() {
                request
            } else {
                request.header("X-Instant-Secret", wrong)
            };
            let reply = request
                .json(&json!({ "user": "1", "channel": "users" }))
                .send()
                .await
                .unwrap();
            assert_eq!(reply.status(), 401, "{path} {wrong}");
        }
    }
    let get = site
        .http
        .get(format!("{}/centrifugo/connect", site.url))
        .header("X-Instant-Secret", &secret);
    assert_eq!(get.send().await.unwrap().status(), 405);
    let health = site.http.get(format!("{}/healthz", site.url)).send().await.unwrap();
    assert_eq!(health.status(), 200);
    refused_at_last("guesses that are slowed down", async || {
        let guess = site.http.post(format!("{}/centrifugo/connect", site.url));
        guess.send().await.unwrap().status().as_u16()
    })
    .await;
    assert_eq!(
        site.ask("connect", &cookie, &json!({})).await.0,
        200,
        "Centrifugo itself is not slowed down"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_say_who_it_is() {
    let site = Site::start(18, RULES).await;
    let cookie = format!("sessionid={}", site.new_user("user").await);
    site.python("User.objects.create_superuser('root', password='secret')").await;
    let body = json!({ "client": "c", "user": "2", "data": { "user": "2" }, "channels": ["staff"], "meta": { "channels": "x" } });
    let (status, answer) = site.ask("connect", &cookie, &body).await;
    assert_eq!((status, &answer["result"]["user"]), (200, &json!("1")));
    assert_eq!(answer["result"]["channels"], json!(["public", "users", "#1"]));
    // The socket of another user's log-in, or a user whom this cookie is not.
    for (cookie, user) in [
        (cookie.as_str(), "2"),
        (cookie.as_str(), ""),
        ("sessionid=0123456789abcdef", "2"),
        ("", "99"),
        ("", "' or 1=1"),
    ] {
        let body = json!({ "user": user, "channel": "superuser" });
        let (status, answer) = site.ask("subscribe", cookie, &body).await;
        assert_eq!((status, &answer["error"]["code"]), (200, &json!(403)), "{cookie} {user}");
        // A connection of this cookie, of which the user alone is said to be another.
        let (_, opened) = site.ask("connect", cookie, &json!({ "client": "d" })).await;
        let mut body = json!({ "client": "d", "user": user, "meta": opened["result"]["meta"] });
        let (status, answer) = site.ask("refresh", cookie, &body).await;
        assert_eq!(
            (status, &answer),
            (200, &json!({ "result": { "expired": true } })),
            "{cookie} {user}"
        );
        body["user"] = opened["result"]["user"].clone();
        let (_, answer) = site.ask("refresh", cookie, &body).await;
        assert!(answer["result"]["expire_at"].is_u64(), "{cookie}: {answer}");
    }
    let data = json!({ "data": { "user": "2" }, "subs": { "staff": {} }, "headers": { "Cookie": "sessionid=x" } });
    let browser = Browser::try_open(&site, "", data).await.unwrap();
    assert_eq!(browser.channels, ["public"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_odd_channel_name_opens_a_channel() {
    for site in Site::both(RULES).await {
        site.python("Order.objects.create(number='1'); Tag.objects.create(name='a')")
            .await;
        let session = site.new_user("user").await;
        let cookie = format!("sessionid={session}");
        let mut browser = Browser::open(&site, &session).await;
        let long = format!("room:{}", "1".repeat(300));
        let odd = [
            "room:1:staff",
            "room:1#2",
            "room:*",
            "room:%31",
            "room:1%00",
            "room:1\0",
            "room: 1",
            "room:1 ",
            "room:1\n",
            "room:01",
            "room:1.0",
            "room:1e0",
            "room:0x1",
            "room:1;select",
            "room:1'--",
            "room:1 or 1=1",
            "room:$user_id",
            "room:{room_id}",
            "room:",
            "room",
            "ROOM:1",
            "tag:a' or '1'='1",
            "tag:%",
            "tag:_",
            "$room:1",
            "$staff",
            "staff",
            "superuser",
            "users\n",
            "#2",
            "#1,2",
            "#*",
            "group.*",
            "group.a",
            "",
            "../users",
            "public/../staff",
            "room:１",
            &long,
        ];
        for channel in odd {
            if site.has_proxies() {
                let (status, answer) = site
                    .ask("subscribe", &cookie, &json!({ "user": "1", "channel": channel }))
                    .await;
                assert_eq!((status, &answer["error"]["code"]), (200, &json!(403)), "{channel:?}");
            }
            if !channel.is_empty() {
                assert!(browser.subscribe(channel).await.is_err(), "{channel:?}");
            }
        }
        assert_eq!(browser.subscribe("room:1").await, Ok(()));
        assert_eq!(browser.subscribe("tag:a").await, Ok(()));
        if !site.has_proxies() {
            continue;
        }
        for body in [
            "",
            "{",
            "[]",
            "null",
            "{\"channel\":1}",
            "{\"user\":\"1\"}",
            "{\"channel\":[\"users\"],\"user\":\"1\"}",
        ] {
            let request = site.http.post(format!("{}/centrifugo/subscribe", site.url));
            let request = request.header("X-Instant-Secret", site.secret()).header("Cookie", &cookie);
            assert_eq!(request.body(body).send().await.unwrap().status(), 400, "{body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_slow_and_broken_requests_are_cut_off() {
    let site = Site::start(18, "").await;
    let secret = site.secret();
    let head = |length: usize| {
        format!("POST /centrifugo/subscribe HTTP/1.1\r\nHost: a\r\nX-Instant-Secret: {secret}\r\nContent-Length: {length}\r\n")
    };
    let large = site
        .http
        .post(format!("{}/centrifugo/subscribe", site.url))
        .header("X-Instant-Secret", &secret);
    let large = large.body(vec![b' '; 65 * 1024]).send().await.unwrap();
    assert_eq!(large.status(), 413);
    let unfinished = format!("{}\r\n{{", head(100));
    let slow = raw(&site, unfinished.as_bytes());
    let answer = tokio::time::timeout(Duration::from_secs(10), slow).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let injected = raw(
        &site,
        format!("{}X-A: b\u{1}c\r\nConnection: close\r\n\r\n", head(0)).as_bytes(),
    )
    .await;
    assert!(injected.starts_with("HTTP/1.1 400"), "{injected}");
    let twice = format!(
        "{}Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
        head(7)
    );
    assert!(raw(&site, twice.as_bytes()).await.starts_with("HTTP/1.1 400"));
    let huge = format!("{}Cookie: {}\r\n\r\n", head(0), "a".repeat(1 << 20));
    let answer = raw(&site, huge.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(site.ask("connect", "", &json!({})).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_nothing_of_its_answers_is_cut_off() {
    const REQUESTS: usize = 200;
    let site = Site::on_hub(18, "").await;
    let script = site.http.get(format!("{}/instant.js", site.url)).send().await.unwrap();
    let length = script.bytes().await.unwrap().len();
    let mut stream = TcpStream::connect(site.url.trim_start_matches("http://")).await.unwrap();
    let requests = "GET /instant.js HTTP/1.1\r\nHost: a\r\n\r\n".repeat(REQUESTS);
    stream.write_all(requests.as_bytes()).await.unwrap();
    // More than the kernels hold for both sides; the server waits for half a minute, and tries in between.
    tokio::time::sleep(Duration::from_mins(1)).await;
    let mut answers = Vec::new();
    let _ = within(SOON, "the end of a connection", stream.read_to_end(&mut answers)).await;
    assert!(answers.len() < REQUESTS * length, "{} bytes were sent", answers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_line_and_no_answer_holds_a_secret() {
    let mut site = Site::start(18, RULES).await;
    site.instant.signal("TERM").await;
    site.instant.wait(SOON).await;
    site.instant = Process::instant(site.folder.path(), &["run"], &[("RUST_LOG", "debug")]);
    site.instant.line("leading", SOON).await;
    let session = site.new_user("user").await;
    let cookie = format!("sessionid={session}");
    let client = site.django.database.connect().await;
    client.batch_execute("drop schema instant cascade").await.unwrap();
    let post = |path: &str| site.http.post(format!("{}{path}", site.url)).header("Cookie", &cookie);
    let mut asked = vec![post("/token").header("Origin", ORIGIN)];
    for path in ["/centrifugo/connect", "/centrifugo/subscribe", "/centrifugo/refresh"] {
        let body = json!({ "user": "1", "channel": "users" });
        asked.push(post(path).header("X-Instant-Secret", site.secret()).json(&body));
    }
    for request in asked {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.text().await.unwrap(), "try again\n");
    }
    site.instant.line("run `instant apply`", SOON).await;
    let output = site.instant.output();
    let data = site.python("print(Session.objects.get().session_data)").await;
    for secret in [
        "a key for tests and demos",
        "an old key",
        "an api key",
        session.as_str(),
        site.secret().as_str(),
        data.as_str(),
    ] {
        assert!(!output.contains(secret), "{secret}: {output}");
    }
}
