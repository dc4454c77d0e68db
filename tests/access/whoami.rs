//! The site itself says who asks.

use serde_json::json;

use crate::support::django::Django;
use crate::support::site::{Browser, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_the_site_says_who_asks_by_cookie_or_header_and_a_site_that_is_down_lets_nobody_in() {
    let django = Django::on(18).await;
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
    let toml = format!("whoami = 'http://127.0.0.1:{}/whoami'\n", port.trim());
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
