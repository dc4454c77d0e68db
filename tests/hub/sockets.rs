//! The edge of the hub: who gets a socket, and how far one socket can affect the others.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::wire::Wire;
use crate::support::process::instant;
use crate::support::site::{Browser, ORIGIN, Site};
use crate::support::wait::{SOON, eventually};

const OPEN: &str = "
[channels.'room:{id}']
allow = 'everyone'
";

/// The status that a WebSocket is refused with; `None` if it is opened.
async fn refusal(url: &str, headers: &[(&str, &str)]) -> Option<u16> {
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok(_) => None,
        Err(Error::Http(answer)) => Some(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pages_of_the_allowed_origins_and_programs_get_a_socket() {
    let site = Site::on_hub(18, "").await;
    let url = site.centrifugo.ws_url.as_str();
    assert_eq!(refusal(url, &[("origin", ORIGIN)]).await, None);
    assert_eq!(refusal(url, &[("origin", "HTTP://SHOP.example")]).await, None);
    assert_eq!(refusal(url, &[]).await, None, "a program sends none");
    for origin in [
        "http://evil.example",
        "null",
        "https://shop.example",
        "http://shop.example.evil.example",
        "",
    ] {
        assert_eq!(refusal(url, &[("origin", origin)]).await, Some(403), "{origin}");
    }
    let twice = [("origin", ORIGIN), ("origin", "http://evil.example")];
    assert_eq!(refusal(url, &twice).await, Some(403));
    assert_eq!(refusal(&format!("{url}?format=protobuf"), &[]).await, Some(400));
    for (protocols, refused) in [
        ("centrifuge-json", None),
        ("centrifuge-protobuf", Some(400)),
        ("centrifuge-protobuf, centrifuge-json", None),
    ] {
        let asked = [("sec-websocket-protocol", protocols)];
        assert_eq!(refusal(url, &asked).await, refused, "{protocols}");
    }
    let plain = site
        .http
        .get(format!("{}/connection/websocket", site.url))
        .send()
        .await
        .unwrap();
    assert!(plain.status().is_client_error(), "{}", plain.status());
    // With Centrifugo there is neither the socket nor the API.
    let site = Site::start(18, "").await;
    let url = format!("{}/connection/websocket", site.url.replace("http", "ws"));
    assert_eq!(refusal(&url, &[]).await, Some(404));
    let request = site
        .http
        .post(format!("{}/api/info", site.url))
        .header("X-API-Key", "an api key");
    assert_eq!(request.body("{}").send().await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_say_who_it_is_or_what_it_hears() {
    let site = Site::on_hub(18, "").await;
    site.new_user("a").await;
    let lies = json!({
        "user": "1", "channels": ["staff"], "data": { "user": "1" }, "headers": { "cookie": "sessionid=x" },
        "subs": { "staff": { "recover": true }, "#1": {}, "users": {} }, "info": { "user": "1" },
    });
    let mut browser = Browser::try_open(&site, "", lies).await.unwrap();
    assert_eq!(browser.channels, ["public"]);
    assert_eq!(browser.subscribe("#1").await, Err(403));
    // The configured key signs no token.
    for token in ["an api key", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."] {
        let opened = Browser::try_open(&site, "", json!({ "token": token })).await;
        assert_eq!(opened.err(), Some(3500), "{token}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_the_command_line_opens_a_connection_until_it_ends() {
    let site = Site::on_hub(18, "").await;
    site.new_user("a").await;
    let printed = instant(site.folder.path(), &["token", "--user", "1"], &[]).await;
    let token = String::from_utf8(printed.stdout).unwrap();
    let mut wire = Wire::open(&site, "").await;
    let ask = json!({ "id": 1, "connect": { "token": token.trim() } }).to_string();
    let answer = wire.ask(&ask, 1).await.remove(0)["connect"].clone();
    assert_eq!(answer["expires"], true);
    assert!((3500..=3600).contains(&answer["ttl"].as_u64().unwrap()), "{answer}");
    site.python("User.objects.update(is_active=False)").await;
    assert_eq!(wire.take(1).await, [json!({ "close": 4001, "reason": "access changed" })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_cut_off_and_nobody_else_notices() {
    let site = Site::on_hub(18, OPEN).await;
    let (mut silent, _) = Wire::connect(&site, "").await;
    silent.ask(r#"{"subscribe":{"channel":"room:1"},"id":2}"#, 1).await;
    let mut browser = Browser::open(&site, "").await;
    assert_eq!(browser.subscribe("room:1").await, Ok(()));
    let text = "x".repeat(100_000);
    let mut took = Vec::new();
    for number in 0..200 {
        let begin = Instant::now();
        site.centrifugo
            .publish("room:1", &json!({ "number": number, "text": text }))
            .await;
        assert_eq!(browser.next().await.unwrap().1["number"], number);
        took.push(begin.elapsed());
    }
    took.sort();
    // A loaded machine may stall, though not all the time.
    assert!(took[190] < Duration::from_secs(2), "{took:?}");
    eventually(SOON, "the end of the silent client", async || {
        let info = site.centrifugo.call("info", &json!({})).await;
        (info["result"]["nodes"][0]["num_clients"] == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_and_a_closed_one_makes_room() {
    let site = Site::on_hub_with(18, "clients = 3\n", "").await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(Wire::connect(&site, "").await);
    }
    assert_eq!(refusal(&site.centrifugo.ws_url, &[]).await, Some(503));
    open.pop();
    eventually(SOON, "room", async || {
        refusal(&site.centrifugo.ws_url, &[]).await.is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_for_an_unknown_channel_is_parked_and_sent_again_from_the_command_line() {
    let site = Site::on_hub(
        18,
        "[[watch]]\nmodel = 'shop.Order'\nfields = ['number']\n[[watch.rule]]\nchannel = '{{ row.number }}:1'\n\
         [channels.'room:{id}']\nallow = 'everyone'\n",
    )
    .await;
    let (mut wire, _) = Wire::connect(&site, "").await;
    wire.ask(r#"{"subscribe":{"channel":"room:1"},"id":2}"#, 1).await;
    site.python("Order.objects.create(number='nowhere'); Order.objects.create(number='room')")
        .await;
    assert_eq!(wire.take(1).await[0]["push"]["pub"]["data"]["data"]["number"], "room");
    eventually(SOON, "a dead letter", async || {
        let listed = instant(site.folder.path(), &["dead", "list"], &[]).await;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        (listed.contains("nowhere:1") && listed.contains("unknown channel")).then_some(())
    })
    .await;
    let path = site.folder.path().join("instant.toml");
    let toml = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{toml}[channels.'nowhere:{{id}}']\nallow = 'everyone'\n")).unwrap();
    site.instant.signal("HUP").await;
    site.instant.line("the rules were read again", SOON).await;
    wire.ask(r#"{"subscribe":{"channel":"nowhere:1"},"id":3}"#, 1).await;
    let sent = instant(site.folder.path(), &["dead", "retry", "--all"], &[]).await;
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    assert_eq!(wire.take(1).await[0]["push"]["channel"], "nowhere:1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_handshake_and_a_flood_of_frames_end_by_themselves() {
    let site = Site::on_hub(18, OPEN).await;
    let mut request = site.centrifugo.ws_url.as_str().into_client_request().unwrap();
    request.headers_mut().insert("origin", ORIGIN.parse().unwrap());
    let (mut silent, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let (mut wire, _) = Wire::connect(&site, "").await;
    let flood: Vec<String> = (2..600)
        .map(|id| format!(r#"{{"subscribe":{{"channel":"room:{id}"}},"id":{id}}}"#))
        .collect();
    let answers = wire.ask(&flood.join("\n"), flood.len()).await;
    let refused = answers.iter().filter(|answer| answer["error"]["code"] == 106).count();
    assert_eq!(refused, 598 - 127, "one is `public`");
    let begin = Instant::now();
    loop {
        match silent.next().await {
            Some(Ok(Message::Close(frame))) => {
                assert_eq!(u16::from(frame.unwrap().code), 3502);
                break;
            }
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(15));
}
