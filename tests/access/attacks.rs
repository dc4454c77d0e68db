//! What a penetration tester tries, and the code that each attempt ends in.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant::django::mac;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::process::{Process, instant};
use crate::support::site::{Browser, ORIGIN, Site};
use crate::support::wait::{SOON, eventually, within};

const RULES: &str = "
[channels.'room:{room_id}']
allow = 'select 1 from shop_order where id = $room_id and $user_id > 0'
[channels.'tag:{name}']
allow = 'select 1 from shop_tag where name = $name'
";

const LOBBY: &str = "[channels.'lobby:{x}']\nallow = 'users'\n";

/// Asks for a token: status and body.
async fn token(site: &Site, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut request = site.http.post(format!("{}/token", site.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap_or_default())
}

/// Asks, sixteen at a time, until there is an answer that too much was asked.
async fn refused_at_last(what: &str, ask: impl AsyncFn() -> u16) {
    eventually(SOON * 3, what, async || {
        let codes = futures_util::future::join_all((0..16).map(|_| ask())).await;
        codes.contains(&429).then_some(())
    })
    .await;
}

/// Sends bytes, and returns what comes back until the connection ends.
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
async fn a_token_is_given_to_a_page_of_the_site_with_a_log_in_alone() {
    for site in Site::both("").await {
        let cookie = format!("sessionid={}", site.new_user("user").await);
        let good = [("Origin", ORIGIN), ("Cookie", cookie.as_str())];
        let (status, answer) = token(&site, &good).await;
        assert_eq!(status, 200);
        let given = answer["token"].as_str().unwrap().to_owned();
        let mut browser = Browser::try_open(&site, "", json!({ "token": given })).await.unwrap();
        assert_eq!(browser.channels, ["#1", "public", "users"]);
        assert_eq!(browser.subscribe("staff").await, Err(403));

        for origin in [
            "http://evil.example",
            "null",
            "https://shop.example",
            "http://shop.example.evil.example",
            "http://shop.example:81",
            "*",
            "",
        ] {
            assert_eq!(
                token(&site, &[("Origin", origin), ("Cookie", &cookie)]).await.0,
                403,
                "{origin}"
            );
        }
        assert_eq!(token(&site, &[("Cookie", &cookie)]).await.0, 403);
        assert_eq!(
            token(
                &site,
                &[("Origin", ORIGIN), ("Origin", "http://evil.example"), ("Cookie", &cookie)]
            )
            .await
            .0,
            403
        );
        for cookie in [
            "",
            "sessionid=",
            "sessionid=0123456789abcdef",
            "sessionid=' or 1=1 --",
            "sessionid=%00",
            "csrftoken=x",
        ] {
            assert_eq!(
                token(&site, &[("Origin", ORIGIN), ("Cookie", cookie)]).await.0,
                401,
                "{cookie}"
            );
        }
        refused_at_last("one address that asks without end", async || token(&site, &good).await.0).await;
        let other = [good[0], good[1], ("X-Forwarded-For", "192.0.2.7")];
        assert_eq!(token(&site, &other).await.0, 200, "another address waits for nobody");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_changed_forged_or_swapped_is_refused() {
    for site in Site::both(LOBBY).await {
        site.new_user("user").await;
        let made = instant(site.folder.path(), &["token", "--user", "1"], &[]).await;
        let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let mut browser = Browser::try_open(&site, "", json!({ "token": token })).await.unwrap();
        assert_eq!(browser.channels, ["#1", "public", "users"]);
        assert_eq!(browser.subscribe("lobby:1").await, Ok(()));
        let parts: Vec<&str> = token.split('.').collect();
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let none = encode(r#"{"alg":"none","typ":"JWT"}"#);
        let claims = encode(r#"{"sub":"2","exp":4000000000,"channels":["staff"]}"#);
        let forged = [
            format!("{none}.{claims}."),
            format!("{none}.{claims}.{}", parts[2]),
            format!("{}.{claims}.{}", parts[0], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}.{}", parts[0], parts[1], parts[2].to_lowercase()),
            token[..token.len() - 2].to_owned(),
        ];
        for forged in forged {
            let opened = Browser::try_open(&site, "", json!({ "token": forged })).await;
            assert_eq!(opened.err(), Some(3500), "{forged}");
        }
        site.python("User.objects.filter(pk=1).update(is_active=False)").await;
        let made = instant(site.folder.path(), &["token", "--user", "1"], &[]).await;
        assert!(!made.status.success() && made.stdout.is_empty());
        // The token is still good, until the next look at what is revoked.
        let mut browser = Browser::try_open(&site, "", json!({ "token": token })).await.unwrap();
        let asked = browser.subscribe("lobby:1").await;
        assert!(
            matches!(asked, Err(403 | 4001)),
            "a deactivated user opens nothing more: {asked:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_serves_its_own_purpose_and_its_own_connection_alone() {
    for site in Site::both(LOBBY).await {
        site.new_user("user").await;
        let (config, _) = instant::config::load(&site.folder.path().join("instant.toml")).unwrap();
        let secret = instant::access::token::secret(&config).unwrap();
        let sign = |claims: Value| {
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
            let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
            let signature = mac::digest(secret.expose_secret().as_bytes(), signed.as_bytes());
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        };
        let exp = instant::access::now() + 600;
        let connection = |channels: &[&str]| sign(json!({ "sub": "1", "exp": exp, "channels": channels }));
        let subscription = |client: &str, channel: &str, user: &str| {
            let mut claims = json!({ "sub": user, "exp": exp, "channel": channel });
            if !client.is_empty() {
                claims["client"] = json!(client);
            }
            sign(claims)
        };
        let open = async || {
            Browser::try_open(&site, "", json!({ "token": connection(&["public"]) }))
                .await
                .unwrap()
        };

        let as_connection = json!({ "token": subscription("", "lobby:1", "1") });
        assert_eq!(Browser::try_open(&site, "", as_connection).await.err(), Some(3500));
        for (token, code) in [
            (connection(&["lobby:1"]), 103),
            (subscription("", "lobby:2", "1"), 3500),
            (subscription("", "lobby:1", "2"), 3500),
            (subscription("another", "lobby:1", "1"), 3500),
        ] {
            assert_eq!(open().await.subscribe_with("lobby:1", &token).await, Err(code), "{token}");
        }
        let mut browser = open().await;
        let client = browser.client.clone();
        assert_eq!(
            browser
                .subscribe_with("lobby:1", &subscription(&client, "lobby:1", "1"))
                .await,
            Ok(()),
            "the control"
        );
        // Centrifugo, as it is configured here, leaves no refresh to clients.
        if site.has_proxies() {
            continue;
        }
        assert_eq!(browser.refresh(&connection(&["public"])).await, Ok(()), "the control");
        assert_eq!(browser.refresh(&connection(&["public", "staff"])).await, Err(3010));
        assert_eq!(open().await.refresh(&subscription("", "lobby:1", "1")).await, Err(3500));
        let other = sign(json!({ "sub": "2", "exp": exp, "channels": ["public"] }));
        assert_eq!(open().await.refresh(&other).await, Err(3500));
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
