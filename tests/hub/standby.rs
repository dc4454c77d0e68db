//! Two processes with a hub on one database: browsers are connected only to the one that leads.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::letters::{OWN, REPLAY, RETRY, RULES};
use crate::support::centrifugo::Centrifugo;
use crate::support::postgres::free_port;
use crate::support::process::{Process, instant};
use crate::support::proxy::Proxy;
use crate::support::site::{Browser, ORIGIN, Site};
use crate::support::wait::SOON;

/// The file of the other process.
const OTHER: &str = "other.toml";

impl Site {
    /// Starts another process on another port, and its hub.
    async fn standby(&self) -> (Process, Centrifugo) {
        let own = self.url.rsplit_once(':').unwrap().1;
        let other = free_port().to_string();
        self.variant(OTHER, OWN, own, &other);
        let standby = Process::instant(self.folder.path(), &["run", "--config", OTHER], &[]);
        standby.line("standby: another relay leads", SOON).await;
        (standby, Centrifugo::at(&format!("http://127.0.0.1:{other}"), "an api key"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_to_a_standby_and_whoever_was_there_goes_to_the_leader() {
    let mut site = Site::on_hub(18, RULES).await;
    let (standby, hub) = site.standby().await;
    let refused = tokio_tungstenite::connect_async(&hub.ws_url).await.unwrap_err();
    assert!(refused.to_string().contains("503"), "{refused}");
    let cookie = format!("sessionid={}", site.new_user("a").await);
    let token = async |url: &str| {
        let request = site.http.post(format!("{url}/token"));
        let request = request.header("Origin", ORIGIN).header("Cookie", &cookie);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((token(&site.url).await, token(&hub.url).await), (200, 503));
    let staff = site.staff().await;
    for (path, leader, other) in [
        ("/readyz", 200, 200),
        ("/readyz?leading", 200, 503),
        ("/live", 200, 200),
        ("/live/dead", 200, 200),
        ("/live/events", 200, 503),
    ] {
        for (url, wanted) in [(&site.url, leader), (&hub.url, other)] {
            let answer = site.http.get(format!("{url}{path}")).header("Cookie", &staff).send().await;
            assert_eq!(answer.unwrap().status(), wanted, "{url}{path}");
        }
    }
    for (url, wanted) in [(&site.url, 404), (&hub.url, 503)] {
        let unknown = json!({ "session": "", "data": "" });
        let answer = site.http.post(format!("{url}/emulation")).json(&unknown).send().await;
        assert_eq!(answer.unwrap().status(), wanted, "{url}");
    }

    let mut browser = Browser::open(&site, "").await;
    site.instant.signal("STOP").await;
    standby.line("leading", SOON).await;
    site.instant.signal("CONT").await;
    assert_eq!(browser.next().await, Err(3001), "it sees that another leads");
    for (url, wanted) in [(&site.url, 503), (&hub.url, 200)] {
        let answer = site.http.get(format!("{url}/readyz?leading")).send().await;
        assert_eq!(answer.unwrap().status(), wanted, "{url}");
    }
    site.centrifugo = hub;
    let mut browser = Browser::open(&site, "").await;
    site.python("Country.objects.create(code='x', name='Xanadu')").await;
    assert_eq!(browser.next().await.unwrap().0, "public");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_own_dead_session_holds_the_lock_keeps_those_who_listen() {
    let mut site = Site::on_hub(18, RULES).await;
    site.instant.signal("TERM").await;
    site.instant.wait(SOON).await;
    let proxy = Proxy::to(&site.django.database.url).await;
    let far = proxy.url(&site.django.database.url);
    site.instant = Process::instant(site.folder.path(), &["run"], &[("INSTANT_DATABASE_URL", &far)]);
    site.instant.line("leading", SOON).await;
    let mut browser = Browser::open(&site, "").await;
    // The relay takes its sessions for dead; PostgreSQL does not, and keeps the lock.
    proxy.strand();
    site.instant.line("its session is ended", SOON * 2).await;
    site.instant.another_line("leading", 1, SOON).await;
    site.python("Country.objects.create(code='x', name='Xanadu')").await;
    assert_eq!(browser.next().await.unwrap().1["message"], "Xanadu");
    let said = site.instant.output();
    assert!(!said.contains("standby"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_no_publication_and_no_letter_that_nobody_would_hear() {
    let site = Site::on_hub(18, RULES).await;
    let staff = site.staff().await;
    let (_standby, hub) = site.standby().await;
    let mut browser = Browser::open(&site, "").await;
    site.python("Country.objects.create(code='x', name='Xanadu')").await;
    assert_eq!(browser.next().await.unwrap().1["message"], "Xanadu");
    site.letters(1).await;
    for name in [OWN, OTHER] {
        site.variant(name, name, ".nothing.here", "");
    }

    let publish = json!({ "channel": "public", "data": "lost" });
    for (method, body) in [
        ("publish", publish.clone()),
        ("batch", json!({ "commands": [{ "publish": publish }] })),
        ("info", json!({})),
    ] {
        let request = site.http.post(format!("{}/api/{method}", hub.url)).json(&body);
        let answer = request.header("X-API-Key", "an api key").send().await.unwrap();
        assert_eq!(answer.status(), 503, "{method}");
        let said = answer.text().await.unwrap();
        assert!(said.contains("ask the one that leads"), "{said}");
        let forged = site.http.post(format!("{}/api/{method}", hub.url)).json(&body).send();
        assert_eq!(forged.await.unwrap().status(), 401, "{method}");
    }
    let retry = site.http.post(format!("{}/live/dead/retry", hub.url));
    let retry = retry.header("Origin", &hub.url).header("Cookie", &staff);
    let answer = retry.json(&json!({ "ids": [1] })).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (retried, replayed) = tokio::join!(site.fails(OTHER, RETRY), site.fails(OTHER, REPLAY));
    for said in [retried, replayed] {
        let wanted =
            "`instant run` answered 503 Service Unavailable (it does not lead: do this on the machine of the one that leads";
        assert!(said.contains(wanted), "{said}");
    }
    site.letters(1).await;
    // The same where today's rule makes nothing of it.
    let unwanted = "unwanted.toml";
    site.variant(
        unwanted,
        OTHER,
        "target = 'public'\nmessage",
        "target = 'public'\non = 'delete'\nmessage",
    );
    let said = site.fails(unwanted, RETRY).await;
    assert!(
        said.contains("sent before that: 0, no longer needed: 0, refused again: 0"),
        "{said}"
    );
    site.letters(1).await;

    let output = instant(site.folder.path(), RETRY, &[]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (channel, event): (String, Value) = browser.next().await.unwrap();
    assert_eq!((channel.as_str(), &event["message"]), ("public", &json!("Xanadu")));
    site.letters(0).await;
}
