//! The live page: who may see it, what it shows, and what can be done there.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::support::process::Process;
use crate::support::site::{Browser, Site};
use crate::support::wait::{SOON, eventually, within};

const RULES: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number']
[[watch.rule]]
target = 'public'
message = 'Order {{ row.number }}'
[[watch]]
model = 'shop.Tag'
fields = ['name']
[[watch.rule]]
channel = '{{ row.name }}'
[[watch]]
model = 'shop.Country'
fields = ['name']
[[watch.rule]]
target = 'public'
message = '{{ row.name.nothing.here }}'
";

/// Server-sent events as they come.
struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(site: &Site, cookie: &str) -> Self {
        let response = site.get("/live/events", cookie).await;
        assert_eq!(response.status(), 200);
        Self {
            response,
            text: String::new(),
        }
    }

    /// The data of the next message of this name that `wanted` accepts.
    async fn next(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let start = format!("event: {name}\ndata: ");
        within(SOON, name, async {
            loop {
                while let Some(end) = self.text.find("\n\n") {
                    let message: String = self.text.drain(..end + 2).collect();
                    let found = message.strip_prefix(&start).map(|data| serde_json::from_str(data).unwrap());
                    if let Some(data) = found.filter(&wanted) {
                        return data;
                    }
                }
                let chunk = self.response.chunk().await.unwrap().expect("the stream goes on");
                self.text += std::str::from_utf8(&chunk).unwrap();
            }
        })
        .await
    }
}

impl Site {
    async fn get(&self, path: &str, cookie: &str) -> Response {
        let request = self.http.get(format!("{}{path}", self.url)).header("Cookie", cookie);
        within(SOON, path, request.send()).await.unwrap()
    }

    /// Posts as the page does.
    async fn post(&self, path: &str, cookie: &str, body: &Value) -> (StatusCode, String) {
        let request = self.http.post(format!("{}{path}", self.url)).header("Origin", &self.url);
        let answer = request.header("Cookie", cookie).json(body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// Waits for the only dead letter.
    async fn letter(&self, cookie: &str) -> Value {
        eventually(SOON, "a dead letter", async || {
            let letters: Vec<Value> = self.get("/live/dead", cookie).await.json().await.unwrap();
            let [letter] = letters.try_into().ok()?;
            Some(letter)
        })
        .await
    }

    /// Fixes the rule that fails.
    async fn fix(&self) {
        let path = self.folder.path().join("instant.toml");
        let fixed = std::fs::read_to_string(&path).unwrap().replace(".nothing.here", "");
        std::fs::write(&path, fixed).unwrap();
        self.instant.signal("HUP").await;
        self.instant.line("the rules were read again", SOON).await;
    }

    /// Sends a letter again.
    async fn retry(&self, letter: &Value, cookie: &str) -> (StatusCode, String) {
        self.post("/live/dead/retry", cookie, &json!({ "ids": [letter["id"]] })).await
    }

    /// The `Cookie` header of a new staff user.
    pub(super) async fn staff(&self) -> String {
        let session = self
            .python("u = user('boss', is_staff=True); c = login('boss'); print(cookie(c))")
            .await;
        format!("sessionid={session}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_staff_and_superusers_see_the_page_and_nobody_else_does_anything_there() {
    for site in Site::both(RULES).await {
        let staff = site.staff().await;
        let superuser = site
            .python("user('root', is_superuser=True); print(cookie(login('root')))")
            .await;
        let (superuser, user) = (
            format!("sessionid={superuser}"),
            format!("sessionid={}", site.new_user("a").await),
        );
        for cookie in [&staff, &superuser] {
            let page = site.get("/live", cookie).await;
            assert_eq!(page.status(), 200);
            let policy = page.headers()["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        }
        let draft = json!({ "message": "secret" });
        for cookie in ["", "sessionid=forged", "instant_live=", "instant_live=forged", &user] {
            for path in ["/live", "/live?key=", "/live?key=x", "/live/events", "/live/dead"] {
                assert_eq!(site.get(path, cookie).await.status(), 403, "{path} with {cookie}");
            }
            assert_eq!(site.post("/live/send", cookie, &draft).await.0, 403, "{cookie}");
            assert_eq!(site.post("/live/dead/retry", cookie, &json!({ "ids": [1] })).await.0, 403);
        }
        // Another site's page, with the cookies of the staff.
        let url = format!("{}/live/send", site.url);
        for (origin, kind) in [
            ("http://other.example", "application/json"),
            (site.url.as_str(), "text/plain"),
            ("null", "application/json"),
            ("", "application/json"),
        ] {
            let request = site.http.post(&url).header("Cookie", &staff).header("Content-Type", kind);
            let request = if origin.is_empty() {
                request
            } else {
                request.header("Origin", origin)
            };
            assert_eq!(
                request.body(draft.to_string()).send().await.unwrap().status(),
                403,
                "{origin} {kind}"
            );
        }
        let mut stream = Stream::open(&site, &staff).await;
        stream.next("status", |status| status["role"] == "leading").await;
        site.python("c.post('/accounts/logout/')").await;
        let ended = async { while stream.response.chunk().await.unwrap().is_some() {} };
        within(SOON, "the end of the stream", ended).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_with_their_outcome_and_letters_are_sent_again_and_messages_too() {
    for site in Site::both(RULES).await {
        let staff = site.staff().await;
        let mut stream = Stream::open(&site, &staff).await;
        stream.next("status", |status| status["role"] == "leading").await;
        let mut browser = Browser::open(&site, "").await;
        site.python("Order.objects.create(number='A-1')").await;
        let passed = stream.next("event", |_| true).await;
        assert_eq!((&passed["channel"], &passed["refused"]), (&json!("public"), &Value::Null));
        assert_eq!(passed["event"]["message"], "Order A-1");
        assert_eq!(browser.next().await.unwrap().1, passed["event"]);
        stream
            .next("status", |status| status["connected"]["clients"].as_u64() >= Some(1))
            .await;

        let (status, answer) = site
            .post(
                "/live/send",
                &staff,
                &json!({ "message": "hello", "target": "public", "data": { "a": 1 } }),
            )
            .await;
        assert_eq!(status, 200, "{answer}");
        let passed = stream.next("event", |_| true).await;
        assert_eq!(
            (&passed["event"]["message"], &passed["event"]["data"]),
            (&json!("hello"), &json!({ "a": 1 }))
        );
        let (status, answer) = site
            .post("/live/send", &staff, &json!({ "message": "hello", "target": "nobody" }))
            .await;
        assert!(status == 422 && answer.contains("nobody"), "{answer}");

        // A rule that fails, until it is fixed.
        site.python("Country.objects.create(code='x', name='Xanadu')").await;
        let letter = site.letter(&staff).await;
        assert_eq!(letter["model"], "shop.Country");
        site.fix().await;
        let (_, answer) = site.retry(&letter, &staff).await;
        assert_eq!(answer, r#"{"interrupted":null,"obsolete":0,"refused":0,"sent":1}"#);
        stream.next("event", |passed| passed["event"]["message"] == "Xanadu").await;

        // The hub has no namespaces that it does not know.
        if site.has_proxies() {
            site.python("Tag.objects.create(name='nowhere:1')").await;
            let passed = stream.next("event", |passed| passed["channel"] == "nowhere:1").await;
            assert_eq!(passed["refused"]["code"], 102);
            let letter = site.letter(&staff).await;
            assert_eq!(
                (&letter["channel"], &letter["model"]),
                (&json!("nowhere:1"), &json!("shop.Tag"))
            );
            let (_, answer) = site.retry(&letter, &staff).await;
            assert_eq!(answer, r#"{"interrupted":null,"obsolete":0,"refused":1,"sent":0}"#);
        }
        assert_eq!(site.post("/live/dead/retry", &staff, &json!({ "ids": [] })).await.0, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_was_sent_again_is_settled_although_the_request_is_given_up() {
    let site = Site::on_hub(18, RULES).await;
    let staff = site.staff().await;
    let mut browser = Browser::open(&site, "").await;
    site.python("Country.objects.create(code='x', name='Xanadu')").await;
    let letter = site.letter(&staff).await;
    site.fix().await;
    let client = site.django.database.connect().await;
    client
        .batch_execute("begin; lock table instant.dead_letter in share mode")
        .await
        .unwrap();
    assert_eq!(site.retry(&letter, &staff).await.0, 408);
    assert_eq!(browser.next().await.unwrap().1["message"], "Xanadu");
    client.batch_execute("commit").await.unwrap();
    eventually(SOON, "an end without letters", async || {
        let letters: Vec<Value> = site.get("/live/dead", &staff).await.json().await.unwrap();
        letters.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_prints_a_link_that_lets_one_browser_in_once() {
    let site = Site::on_hub(18, RULES).await;
    let Site { mut instant, folder, .. } = site;
    instant.signal("TERM").await;
    instant.wait(SOON).await;
    let dev = Process::instant(folder.path(), &["dev"], &[]);
    let greeting = dev.line("live page", SOON).await;
    let link = greeting.split_whitespace().last().unwrap();
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let first = http.get(link).send().await.unwrap();
    assert_eq!(
        (first.status().as_u16(), &first.headers()["location"]),
        (303, &"/live".parse().unwrap())
    );
    let cookie = first.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.ends_with("; Path=/live; HttpOnly; SameSite=Strict"), "{cookie}");
    assert_eq!(http.get(link).send().await.unwrap().status(), 403);
    let page = link.split('?').next().unwrap();
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(http.get(page).header("Cookie", pair).send().await.unwrap().status(), 200);
    assert_eq!(http.get(page).send().await.unwrap().status(), 403);
}
