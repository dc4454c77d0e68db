use std::time::{Duration, Instant};

use serde_json::json;

use super::wire::Wire;
use crate::support::process::Process;
use crate::support::site::{Browser, Site};
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

/// How soon a revocation must take effect.
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
