//! How a server ends a connection, with the same codes, reasons and delays as Centrifugo.

use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::wire::Wire;
use crate::support::django::Django;
use crate::support::proxy::{Mode, Proxy};
use crate::support::site::{Browser, Site};
use crate::support::wait::{SOON, eventually};

const ROOM: &str = "
[channels.'room:{id}']
allow = 'everyone'
";
/// Longer than the slowest end takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// When a client that sends nothing is disconnected. Here and below, the ends of ranges allow for a loaded machine.
const STALE: Range<Duration> = Duration::from_secs(9)..Duration::from_secs(24);
/// When one that answers no ping is disconnected: the first is sent after a random 12.5 to 25 s, and 8 s are for the answer.
const NO_PONG: Range<Duration> = Duration::from_secs(20)..Duration::from_secs(48);
/// When one that does not read is disconnected: as soon as it reads.
const SLOW: Range<Duration> = Duration::ZERO..Duration::from_secs(20);

/// An end as both servers must report it, and when it came.
#[derive(Debug)]
struct End {
    said: Option<(u16, String)>,
    after: Duration,
}

async fn ended(wire: Wire) -> End {
    let begin = Instant::now();
    let said = wire.end(PATIENCE).await;
    let after = begin.elapsed();
    End { said, after }
}

/// The end of a client that opens a socket and sends nothing.
async fn silent(site: &Site) -> End {
    ended(Wire::open(site, "").await).await
}

/// The end of a client that does not answer a ping.
async fn pongless(site: &Site) -> End {
    ended(Wire::connect(site, "").await.0).await
}

/// The end of a client that does not read while more is published than the network and its queue hold.
async fn slow(site: &Site) -> End {
    let (mut wire, _) = Wire::connect(site, "").await;
    wire.ask(r#"{"subscribe":{"channel":"room:1"},"id":2}"#, 1).await;
    let publish = json!({ "publish": { "channel": "room:1", "data": "x".repeat(50_000) } });
    let commands: Vec<Value> = std::iter::repeat_n(publish, 400).collect();
    site.centrifugo.call("batch", &json!({ "commands": commands })).await;
    ended(wire).await
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_end_with_centrifugos_codes_and_when_it_ends_them() {
    let [centrifugo, hub] = Site::both(ROOM).await;
    let ends = async |site| {
        let (silent, pongless, slow) = tokio::join!(silent(site), pongless(site), slow(site));
        [("stale", STALE, silent), ("no pong", NO_PONG, pongless), ("slow", SLOW, slow)]
    };
    let (theirs, ours) = tokio::join!(ends(&centrifugo), ends(&hub));
    for ((reason, time, theirs), (.., ours)) in theirs.into_iter().zip(ours) {
        let said = theirs.said.as_ref().map(|(_, reason)| reason.as_str());
        assert_eq!(said, Some(reason), "Centrifugo");
        assert_eq!(theirs.said, ours.said, "Centrifugo left, the hub right");
        for (server, end) in [("Centrifugo", &theirs), ("the hub", &ours)] {
            assert!(time.contains(&end.after), "{server} says {reason} after {:?}", end.after);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_tells_its_clients_to_come_again_as_centrifugo_does() {
    let [centrifugo, hub] = Site::both("").await;
    let (theirs, _) = Wire::connect(&centrifugo, "").await;
    let (ours, _) = Wire::connect(&hub, "").await;
    centrifugo.centrifugo.signal("TERM").await;
    hub.instant.signal("TERM").await;
    let (theirs, ours) = tokio::join!(ended(theirs), ended(ours));
    assert_eq!(theirs.said, Some((3001, "shutdown".to_owned())));
    assert_eq!(theirs.said, ours.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_connected_is_sent_away_once_postgresql_was_lost_for_ten_seconds_and_may_come_when_it_is_back() {
    let django = Django::on(18).await;
    let proxy = Proxy::to(&django.database.url).await;
    let database = proxy.url(&django.database.url);
    let site = Site::on_hub_at(django, &database, "", "").await;
    let came = async || {
        let request = site.http.post(format!("{}/connection/http_stream", site.url));
        request
            .body(r#"{"id":1,"connect":{}}"#)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let mut browser = Browser::open(&site, "").await;
    let lost = Instant::now();
    proxy.set(Mode::Cut);
    site.instant.line("the relay starts again", SOON).await;
    assert_eq!(came().await, 200, "it may be back in a moment");
    assert_eq!(browser.next().await, Err(3001));
    assert!(lost.elapsed() >= Duration::from_secs(10), "{:?}", lost.elapsed());
    assert_eq!(came().await, 503);
    proxy.set(Mode::Pass);
    eventually(SOON * 2, "room for clients", async || (came().await == 200).then_some(())).await;
    let mut again = Browser::open(&site, "").await;
    site.centrifugo.publish("public", &json!("back")).await;
    assert_eq!(again.next().await, Ok(("public".to_owned(), json!("back"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_connected_is_sent_away_where_another_has_led_meanwhile_and_stays_where_nobody_has() {
    let site = Site::on_hub(18, ROOM).await;
    let database = site.django.database.connect().await;
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity
               where application_name like 'instant %' and datname = current_database()";
    let terms = async |count: usize| {
        let led = || site.instant.output().matches("leading").count();
        eventually(SOON, "another term", async || (led() == count).then_some(())).await;
    };
    let mut browser = Browser::open(&site, "").await;
    database.batch_execute(cut).await.unwrap();
    terms(2).await;
    site.centrifugo.publish("public", &json!("still here")).await;
    assert_eq!(browser.next().await, Ok(("public".to_owned(), json!("still here"))));
    // What another leader does first.
    let office = "update instant.relay set led_since = clock_timestamp()";
    database.batch_execute(&format!("{office}; {cut}")).await.unwrap();
    assert_eq!(browser.next().await, Err(3001));
    terms(3).await;
    Browser::open(&site, "").await;
}
