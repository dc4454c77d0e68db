//! `doctor` connects to Centrifugo as browsers do: each fault is one of Centrifugo's configuration.

use serde_json::{Value, json};

use crate::support::centrifugo::Centrifugo;
use crate::support::process::instant;
use crate::support::site::Site;

const ROOMS: &str = "
[channels.'room:{room_id}']
allow = 'users'
history = { size = 10, ttl = '1h' }
presence = true
[channels.'news:all']
allow = 'everyone'
";

/// The codes of the findings, with their places.
async fn findings(site: &Site, arguments: &[&str]) -> Vec<(String, String)> {
    let arguments = [&["doctor", "--json"], arguments].concat();
    let output = instant(site.folder.path(), &arguments, &[]).await;
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    found
        .iter()
        .map(|finding| (text(&finding["code"]), text(&finding["place"])))
        .collect()
}

/// The findings when Centrifugo runs with this in place of the output of `gen centrifugo`.
async fn with(site: &mut Site, place: &str, value: Value) -> Vec<(String, String)> {
    let made = instant(site.folder.path(), &["gen", "centrifugo"], &[]).await;
    let mut made: Value = serde_json::from_slice(&made.stdout).unwrap();
    *made.pointer_mut(place).unwrap() = value;
    site.centrifugo.stop().await;
    site.centrifugo = Centrifugo::configured(&made).await;
    findings(site, &[]).await
}

fn expected(findings: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |&(code, place): &(&str, &str)| (code.to_owned(), place.to_owned());
    findings.iter().map(owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_from_the_configuration_that_gen_prints_is_found_on_the_running_server() {
    let mut site = Site::start(18, ROOMS).await;
    assert_eq!(findings(&site, &[]).await, []);
    let faults = [
        (
            "/client/allowed_origins",
            json!(["http://other.example"]),
            // One for each origin of the site.
            vec![("centrifugo-origin", "client.allowed_origins"); 2],
        ),
        (
            "/client/allowed_origins",
            json!(["*"]),
            vec![("centrifugo-origin", "client.allowed_origins")],
        ),
        (
            "/client/token/hmac_secret_key",
            json!("another key"),
            vec![("centrifugo-token", "client.token.hmac_secret_key")],
        ),
        (
            "/client/proxy/connect/http_headers",
            json!([]),
            vec![("centrifugo-cookie", "client.proxy.connect.http_headers")],
        ),
        (
            "/client/proxy/connect/enabled",
            json!(false),
            vec![("centrifugo-proxy", "client.proxy.connect")],
        ),
        (
            "/client/proxy/connect/endpoint",
            json!("http://127.0.0.1:9/centrifugo/connect"),
            vec![("centrifugo-proxy", "client.proxy.connect")],
        ),
        (
            "/client/proxy/connect/http/static_headers",
            json!({ "X-Instant-Secret": "another" }),
            vec![("centrifugo-proxy", "client.proxy.connect")],
        ),
        (
            "/channel/namespaces/1/subscribe_proxy_enabled",
            json!(false),
            vec![("centrifugo-subscribe", "room:instant")],
        ),
        (
            "/channel/proxy/subscribe/endpoint",
            json!("http://127.0.0.1:9/centrifugo/subscribe"),
            vec![
                ("centrifugo-subscribe", "news:instant"),
                ("centrifugo-subscribe", "room:instant"),
            ],
        ),
        (
            "/channel/namespaces/1",
            json!({ "name": "room", "subscribe_proxy_enabled": true, "presence": true }),
            vec![("namespace-options", "room:instant")],
        ),
        (
            "/channel/namespaces/1/presence",
            json!(false),
            vec![("namespace-options", "room:instant")],
        ),
    ];
    for (place, value, wanted) in faults {
        let found = with(&mut site, place, value.clone()).await;
        assert_eq!(found, expected(&wanted), "{place}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_browsers_find_elsewhere_is_looked_at_where_it_is() {
    let site = Site::start(18, ROOMS).await;
    let elsewhere = format!("{}/elsewhere", site.centrifugo.url.replace("http://", "ws://"));
    let found = findings(&site, &["--websocket", &elsewhere]).await;
    assert_eq!(found[0].0, "centrifugo-websocket", "{found:?}");
    assert_eq!(findings(&site, &["--websocket", &site.centrifugo.ws_url]).await, []);
    let refused = instant(site.folder.path(), &["doctor", "--websocket", "http://a"], &[]).await;
    assert_eq!(refused.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_without_visitors_has_no_findings_and_a_lost_cookie_is_found_there_too() {
    let mut site = Site::start(18, "[channels]\nanonymous = false\n").await;
    assert_eq!(findings(&site, &[]).await, []);
    let found = with(&mut site, "/client/proxy/connect/http_headers", json!([])).await;
    assert_eq!(found, expected(&[("centrifugo-cookie", "client.proxy.connect.http_headers")]));
}
