//! The site itself identifies users (`[django] whoami`).

use serde_json::json;

use crate::support::django::Django;
use crate::support::postgres::{self, free_port};
use crate::support::process::{Process, instant};
use crate::support::site::{Browser, ORIGIN, Site};
use crate::support::wait::{SOON, eventually};

/// Serves the project's pages from its Python process, and returns the line of `[django]` with the view's URL.
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

#[tokio::test(flavor = "multi_thread")]
async fn where_the_site_says_who_asks_the_watched_database_needs_no_users_and_whoever_looks_one_up_is_told() {
    let database = postgres::database(18).await;
    let client = database.connect().await;
    client.batch_execute("create table item (id int primary key)").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |django: &str| {
        let toml = format!(
            "[database]\nurl = '{}'\n[server]\nlisten = '127.0.0.1:{}'\n[hub]\napi_key = 'an api key'\n\
             [django]\nwhoami = 'http://127.0.0.1:1/whoami'\n{django}[[watch]]\ntable = 'item'\n",
            database.url,
            free_port()
        );
        std::fs::write(folder.path().join("instant.toml"), toml).unwrap();
    };
    let run = async |arguments: &[&str]| {
        let output = instant(folder.path(), arguments, &[]).await;
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), said)
    };
    for named in ["user_model = 'club.Member'\n", "user_table = 'club_member'\n"] {
        write(named);
        let (code, said) = run(&["apply"]).await;
        assert!(code == Some(1) && said.contains("no table `club_member`"), "{named}{said}");
    }
    write("");
    let (code, said) = run(&["apply"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(run(&["plan"]).await.0, Some(0));
    let relay = Process::instant(folder.path(), &["run"], &[]);
    relay.line("leading", SOON).await;
    for asked in [&["token", "--user", "1"][..], &["doctor", "--as", "1", "users"]] {
        let (code, said) = run(asked).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("Django's table of users") && said.contains("`user_model`"),
            "{said}"
        );
    }
    let (code, said) = run(&["doctor", "--as", "", "public"]).await;
    assert!(code == Some(0) && said.contains("allowed"), "{said}");

    let table = "create table auth_user (id int primary key, password text, is_active boolean);
        insert into auth_user values (1, '', true)";
    client.batch_execute(table).await.unwrap();
    let (code, said) = run(&["plan"]).await;
    assert!(code == Some(3) && said.contains("session_identity"), "{said}");
    assert_eq!(run(&["apply"]).await.0, Some(0));
    assert_eq!(run(&["token", "--user", "1"]).await.0, Some(0));
}
