use std::time::{Duration, Instant};

use serde_json::json;

use super::wire::Wire;
use crate::support::centrifugo::Centrifugo;
use crate::support::postgres::free_port;
use crate::support::process::Process;
use crate::support::site::{Browser, ORIGIN, Site};
use crate::support::wait::SOON;

const WATCH: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'customer']
[[watch.rule]]
target = 'public'
[[watch.rule]]
target = { user = 'customer' }
[[watch.rule]]
channel = 'room:{{ row.number }}'
[channels.'room:{number}']
allow = 'everyone'
history = { size = 10, ttl = '1m' }
presence = true
";

/// How soon what is revoked must be gone.
const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_row_arrives_where_its_rules_say_without_any_other_server() {
    let site = Site::on_hub(18, WATCH).await;
    let cookie = site.new_user("a").await;
    let mut user = Browser::open(&site, &cookie).await;
    let mut visitor = Browser::open(&site, "").await;
    assert_eq!(user.channels, ["#1", "public", "users"]);
    assert_eq!(visitor.channels, ["public"]);
    assert_eq!(visitor.subscribe("room:17").await, Ok(()));
    assert_eq!(visitor.subscribe("staff").await, Err(403));
    site.python("Order.objects.create(number='17', customer=Customer.objects.create(pk=1)); Order.objects.create(number='18')")
        .await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        let (channel, event) = user.next().await.unwrap();
        heard.push((channel, event["data"]["number"].as_str().unwrap().to_owned()));
    }
    heard.sort();
    let expected = [("#1", "17"), ("public", "17"), ("public", "18")];
    assert_eq!(
        heard,
        expected.map(|(channel, number)| (channel.to_owned(), number.to_owned()))
    );
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(visitor.next().await.unwrap().0);
    }
    heard.sort();
    assert_eq!(heard, ["public", "public", "room:17"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_cut_within_five_seconds() {
    let site = Site::on_hub(
        18,
        "[channels.'room:{id}']\nallow = 'select 1 from chat_membership where room_id = $id and user_id = $user_id'",
    )
    .await;
    let client = site.django.database.connect().await;
    client
        .batch_execute(
            "create table chat_membership (room_id int, user_id int); insert into chat_membership values (7, 1), (8, 1)",
        )
        .await
        .unwrap();
    let cookie = site.new_user("a").await;
    let mut browser = Browser::open(&site, &cookie).await;
    for room in ["room:7", "room:8"] {
        assert_eq!(browser.subscribe(room).await, Ok(()));
    }
    client
        .batch_execute("delete from chat_membership where room_id = 7")
        .await
        .unwrap();
    site.instant.line("a subscription was ended", LIMIT).await;
    for room in ["room:7", "room:8"] {
        site.centrifugo.publish(room, &json!(room)).await;
    }
    assert_eq!(browser.next().await, Ok(("room:8".to_owned(), json!("room:8"))));
    assert_eq!(browser.subscribe("room:7").await, Err(403));

    site.python("User.objects.update(is_staff=True)").await;
    let done = Instant::now();
    assert_eq!(browser.next().await, Err(4001));
    assert!(done.elapsed() < LIMIT, "{:?}", done.elapsed());
    let mut again = Browser::open(&site, &cookie).await;
    assert_eq!(again.channels, ["#1", "public", "staff", "users"]);

    site.python("Session.objects.all().delete()").await;
    assert_eq!(again.next().await, Err(4001));
    assert_eq!(Browser::open(&site, &cookie).await.channels, ["public"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_clients_come_again_and_are_told_that_the_history_is_another() {
    let mut site = Site::on_hub(18, WATCH).await;
    let (mut wire, _) = Wire::connect(&site, "").await;
    let answer = wire.ask(r#"{"subscribe":{"channel":"room:17"},"id":2}"#, 2).await;
    let epoch = answer[0]["subscribe"]["epoch"].as_str().unwrap().to_owned();
    site.python("Order.objects.create(number='17')").await;
    let mut heard = wire.take(2).await;
    heard.sort_by_key(|message| message["push"]["channel"].to_string());
    assert_eq!(heard[1]["push"]["pub"]["offset"], 1);
    site.instant.signal("TERM").await;
    assert_eq!(wire.take(1).await, [json!({ "close": 3001, "reason": "shutdown" })]);
    assert!(site.instant.wait(SOON).await.success(), "{}", site.instant.output());

    site.python("Order.objects.create(number='18')").await;
    site.instant = Process::instant(site.folder.path(), &["run"], &[]);
    site.instant.line("leading", SOON).await;
    let (mut wire, _) = Wire::connect(&site, "").await;
    let ask = json!({ "id": 2, "subscribe": { "channel": "room:17", "recover": true, "offset": 1, "epoch": epoch } });
    let answer = wire.ask(&ask.to_string(), 1).await.remove(0)["subscribe"].clone();
    assert_ne!(answer["epoch"], epoch.as_str());
    assert_eq!(
        (&answer["was_recovering"], &answer["recovered"]),
        (&json!(true), &json!(null))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_to_a_standby_and_whoever_was_there_goes_to_the_leader() {
    let mut site = Site::on_hub(18, WATCH).await;
    let path = site.folder.path().join("instant.toml");
    let toml = std::fs::read_to_string(&path).unwrap();
    let (own, other) = (site.url.rsplit_once(':').unwrap().1.to_owned(), free_port().to_string());
    std::fs::write(site.folder.path().join("other.toml"), toml.replace(&own, &other)).unwrap();
    let standby = Process::instant(site.folder.path(), &["run", "--config", "other.toml"], &[]);
    standby.line("standby: another relay leads", SOON).await;
    let url = format!("ws://127.0.0.1:{other}/connection/websocket");
    let refused = tokio_tungstenite::connect_async(&url).await.unwrap_err();
    assert!(refused.to_string().contains("503"), "{refused}");
    let cookie = format!("sessionid={}", site.new_user("a").await);
    let token = async |port: &str| {
        let request = site.http.post(format!("http://127.0.0.1:{port}/token"));
        let request = request.header("Origin", ORIGIN).header("Cookie", &cookie);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((token(&own).await, token(&other).await), (200, 503));

    let mut browser = Browser::open(&site, "").await;
    site.instant.signal("STOP").await;
    standby.line("leading", SOON).await;
    site.instant.signal("CONT").await;
    assert_eq!(browser.next().await, Err(3001), "it sees that another leads");
    site.centrifugo = Centrifugo::at(&format!("http://127.0.0.1:{other}"), "an api key");
    let mut browser = Browser::open(&site, "").await;
    site.python("Order.objects.create(number='17')").await;
    assert_eq!(browser.next().await.unwrap().0, "public");
}
