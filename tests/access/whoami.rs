//! The site itself says who asks.

use serde_json::json;

use crate::support::django::Django;
use crate::support::site::{Browser, ORIGIN, Site};
use crate::support::wait::{SOON, eventually};

/// Serves the project's pages in its Python, and returns the line of `[django]` that names the view.
async fn served(django: &Django) -> String {
    let port = django
        .run(
            "import threading
from wsgiref.simple_server import make_server, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
class Quiet(WSGIRequestHandler):
    def log_message(self, *_): pass
server = make_server('127.0.0.1', 0, get_wsgi_application(), handler_class=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port)",
        )
        .await;
    format!("whoami = 'http://127.0.0.1:{}/whoami'\n", port.trim())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_the_site_says_who_asks_by_cookie_or_header_and_a_site_that_is_down_lets_nobody_in() {
    let django = Django::on(18).await;
    let toml = served(&django).await;
    let site = Site::of(django, &toml).await;
    let printed = site.python("u = user('a', is_staff=True); print(cookie(login('a')))").await;
    assert_eq!(
        Browser::open(&site, &printed).await.channels,
        ["#1", "public", "staff", "users"]
    );
    for cookie in ["", "forged12forged12"] {
        assert_eq!(Browser::open(&site, cookie).await.channels, ["public"]);
    }
    let ask = async |bearer: &str| {
        let request = site.http.post(format!("{}/centrifugo/connect", site.url));
        let request = request
            .header("X-Instant-Secret", site.secret())
            .header("Authorization", bearer);
        let reply = request.json(&json!({ "client": "c" })).send().await.unwrap();
        (
            reply.status().as_u16(),
            reply.json::<serde_json::Value>().await.unwrap_or_default(),
        )
    };
    let (_, answer) = ask("Bearer of the first").await;
    assert_eq!(
        answer["result"]["channels"],
        json!(["public", "users", "group.by%20header", "#1"])
    );
    assert_eq!(ask("Bearer of nothing").await.1["result"]["channels"], json!(["public"]));
    site.python("server.shutdown(); server.server_close()").await;
    assert_eq!(ask("Bearer of another").await.0, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_asks_the_view_about_each_room_with_what_the_connection_came_with() {
    let django = Django::on(18).await;
    let rule = "[channels.'own:{id}.{part}']\nallow = 'select $id = $user_id and $part > 0'\n";
    let toml = format!("{}{rule}", served(&django).await);
    let database = django.database.url.clone();
    let site = Site::on_hub_at(django, &database, "", &toml).await;
    // The database knows no user yet: the header alone says who this is.
    let headers = [("origin", ORIGIN), ("authorization", "Bearer of the first")];
    let mut browser = Browser::with_headers(&site.centrifugo, &headers, json!({})).await.unwrap();
    assert_eq!(browser.channels, ["#1", "group.by%20header", "public", "users"]);
    assert_eq!(browser.subscribe("own:1.1").await, Ok(()));
    assert_eq!(browser.subscribe("own:2.1").await, Err(403));

    let cookie = site.python("user('a'); c = login('a'); print(cookie(c))").await;
    let mut browser = Browser::open(&site, &cookie).await;
    assert_eq!(browser.subscribe("own:1.1").await, Ok(()));
    assert_eq!(browser.subscribe("own:2.1").await, Err(403));
    assert_eq!(Browser::open(&site, "").await.subscribe("own:1.1").await, Err(403));
    site.python("c.post('/accounts/logout/')").await;
    let refused = eventually(SOON, "a refusal after the log-out", async || {
        let asked = browser.subscribe("own:1.2").await;
        browser.unsubscribe("own:1.2").await;
        asked.err()
    })
    .await;
    assert_eq!(refused, 403);
}
