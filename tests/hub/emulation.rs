//! Connections over plain HTTP: who may have one, and what ends it.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::site::{Browser, ORIGIN, Site};
use crate::support::wait::{SOON, eventually, within};

const CONNECT: &str = r#"{"id":1,"connect":{}}"#;

/// Lines of a streamed answer.
struct Lines {
    response: reqwest::Response,
    text: String,
}

impl Lines {
    async fn open(site: &Site, cookie: &str) -> Self {
        let request = site.http.post(format!("{}/connection/http_stream", site.url));
        let request = request
            .header("Origin", ORIGIN)
            .header("Cookie", format!("sessionid={cookie}"));
        let response = request.body(CONNECT).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.text.find('\n') {
                let line: String = self.text.drain(..=end).collect();
                return Some(serde_json::from_str(&line).unwrap());
            }
            let chunk = within(SOON, "a line", self.response.chunk()).await.unwrap()?;
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }
}

async fn say(site: &Site, session: &Value, data: &str) -> u16 {
    let body = json!({ "session": session, "node": "instant", "data": data });
    let request = site.http.post(format!("{}/emulation", site.url)).header("Origin", ORIGIN);
    request.json(&body).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_knows_the_session_alone_speaks_for_the_client_and_each_message_is_a_line() {
    let site = Site::on_hub(18, "[channels.'room:{id}']\nallow = 'users'\n").await;
    let cookie = site.new_user("a").await;
    let mut lines = Lines::open(&site, &cookie).await;
    let answer = lines.next().await.unwrap();
    let session = &answer["connect"]["session"];
    assert_eq!(
        (session.as_str().unwrap().len(), &answer["connect"]["node"]),
        (43, &json!("instant"))
    );
    assert_eq!(say(&site, session, r#"{"id":2,"subscribe":{"channel":"room:1"}}"#).await, 204);
    assert_eq!(lines.next().await.unwrap()["id"], 2);
    for guess in [json!(""), json!("guess"), answer["connect"]["client"].clone()] {
        assert_eq!(
            say(&site, &guess, r#"{"id":3,"unsubscribe":{"channel":"room:1"}}"#).await,
            404
        );
    }
    site.centrifugo.publish("room:1", &json!("hello")).await;
    assert_eq!(lines.next().await.unwrap()["push"]["pub"]["data"], "hello");
    // What is no command ends it, with the code that a WebSocket would be closed with.
    assert_eq!(say(&site, session, "nonsense").await, 204);
    assert_eq!(lines.next().await.unwrap()["push"]["disconnect"]["code"], 3501);
    assert_eq!(lines.next().await, None);
    assert_eq!(say(&site, session, "{}").await, 404);
    eventually(SOON, "the end of the client", async || {
        (site.clients().await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_gets_nothing_and_one_that_is_allowed_may_read_the_answer() {
    let site = Site::on_hub(18, "").await;
    let ask = async |method: Method, path: &str, origin: &str, body: &'static str| {
        let request = site
            .http
            .request(method, format!("{}{path}", site.url))
            .header("Origin", origin);
        request.body(body).send().await.unwrap()
    };
    let connect = format!("/connection/sse?cf_connect={}", CONNECT.replace('"', "%22"));
    for (method, path, body) in [
        (Method::POST, "/connection/http_stream", CONNECT),
        (Method::GET, &*connect, ""),
        (Method::POST, "/emulation", "{}"),
        (Method::OPTIONS, "/emulation", ""),
    ] {
        assert_eq!(
            ask(method.clone(), path, "http://other.example", body).await.status(),
            403,
            "{path}"
        );
        let answer = ask(method, path, ORIGIN, body).await;
        assert_eq!(answer.headers()["access-control-allow-origin"], ORIGIN, "{path}");
        assert_ne!(answer.status(), 403);
    }
    let asked = ask(Method::OPTIONS, "/connection/http_stream", ORIGIN, "").await;
    assert_eq!(
        (asked.status().as_u16(), &asked.headers()["access-control-allow-methods"]),
        (204, &"GET, POST".parse().unwrap())
    );
    for path in ["/connection/sse", "/connection/sse?cf_connect=%ff"] {
        assert_eq!(ask(Method::GET, path, ORIGIN, "").await.status(), 400, "{path}");
    }
    let mut opened = ask(Method::GET, &connect, ORIGIN, "").await;
    assert_eq!(opened.headers()["content-type"], "text/event-stream; charset=utf-8");
    let chunk = within(SOON, "an event", opened.chunk()).await.unwrap().unwrap();
    assert!(chunk.starts_with(b"data: {\"id\":1,\"connect\":{\"client\":"), "{chunk:?}");
    assert_eq!(ask(Method::POST, "/connection/http_stream", ORIGIN, "").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_on_another_site_says_nothing_for_whoever_follows_it() {
    let site = Site::on_hub(18, "[channels.'room:{id}']\nallow = 'users'\npublish = 'users'\n").await;
    let cookie = site.new_user("a").await;
    let mut browser = Browser::open(&site, &cookie).await;
    assert_eq!(browser.subscribe("room:1").await, Ok(()));
    let ask = async |method: Method, path: &str, said: [&str; 2], body: &'static str| {
        let request = site.http.request(method, format!("{}{path}", site.url)).body(body);
        let request = request.header("Cookie", format!("sessionid={cookie}"));
        let names = ["Sec-Fetch-Site", "Sec-Fetch-Mode"].into_iter().zip(said);
        let request = names
            .filter(|(_, said)| !said.is_empty())
            .fold(request, |request, (name, said)| request.header(name, said));
        request.send().await.unwrap().status().as_u16()
    };
    let sse = |commands: &str| {
        format!(
            "/connection/sse?cf_connect={}",
            utf8_percent_encode(commands, NON_ALPHANUMERIC)
        )
    };
    let several = format!(
        "{CONNECT}\n{}\n{}",
        r#"{"id":2,"subscribe":{"channel":"room:1"}}"#, r#"{"id":3,"publish":{"channel":"room:1","data":"forged"}}"#
    );
    for said in [["", ""], ["same-origin", "cors"], ["none", "cors"]] {
        assert_eq!(ask(Method::GET, &sse(CONNECT), said, "").await, 200, "{said:?}");
        assert_eq!(ask(Method::GET, &sse(&several), said, "").await, 400, "{said:?}");
        assert_eq!(
            ask(Method::POST, "/connection/http_stream", said, CONNECT).await,
            200,
            "{said:?}"
        );
        assert_eq!(ask(Method::POST, "/emulation", said, "{}").await, 400, "{said:?}");
    }
    for said in [
        ["cross-site", "navigate"],
        ["cross-site", "no-cors"],
        ["same-site", "no-cors"],
        ["same-site", ""],
        ["same-origin", "navigate"],
        ["none", "navigate"],
        ["", "navigate"],
    ] {
        assert_eq!(ask(Method::GET, &sse(CONNECT), said, "").await, 403, "{said:?}");
        assert_eq!(
            ask(Method::POST, "/connection/http_stream", said, CONNECT).await,
            403,
            "{said:?}"
        );
        assert_eq!(ask(Method::POST, "/emulation", said, "{}").await, 403, "{said:?}");
    }
    site.centrifugo.publish("room:1", &json!("end")).await;
    assert_eq!(browser.heard("end").await, [""; 0], "what the link says was published");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_reads_nothing_is_closed_and_the_others_hear_everything() {
    let site = Site::on_hub(18, "").await;
    let deaf = Lines::open(&site, "").await;
    let mut other = Browser::open(&site, "").await;
    let event = json!("x".repeat(100_000));
    for _ in 0..100 {
        site.centrifugo.publish("public", &event).await;
        assert_eq!(other.next().await.unwrap().1, event);
    }
    eventually(SOON, "the end of the one that reads nothing", async || {
        (site.clients().await == 1).then_some(())
    })
    .await;
    drop(deaf);
}

impl Site {
    /// The number of the hub's clients.
    async fn clients(&self) -> u64 {
        let request = self
            .http
            .post(format!("{}/api/info", self.url))
            .header("X-API-Key", "an api key");
        let found: Value = request.body("{}").send().await.unwrap().json().await.unwrap();
        found["result"]["nodes"][0]["num_clients"].as_u64().unwrap_or_default()
    }
}
