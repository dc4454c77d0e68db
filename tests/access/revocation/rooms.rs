//! Rooms are taken from subscribers whom their rule no longer allows, however many there are and however slow the answers.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use serde_json::json;

use super::{LIMIT, ROOM};
use crate::support::process::Process;
use crate::support::site::{Browser, Site};
use crate::support::wait::{SOON, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_hears_nothing_within_five_seconds_and_the_others_go_on() {
    for site in Site::both(ROOM).await {
        let client = site.django.database.connect().await;
        client
        .batch_execute(
            "create table chat_membership (room_id int, user_id int); insert into chat_membership values (7, 1), (8, 1), (7, 2)",
        )
        .await
        .unwrap();
        let (first, second) = (site.new_user("first").await, site.new_user("second").await);
        let mut first = Browser::open(&site, &first).await;
        let mut second = Browser::open(&site, &second).await;
        assert_eq!(first.subscribe("room:7").await, Ok(()));
        assert_eq!(first.subscribe("room:8").await, Ok(()));
        assert_eq!(second.subscribe("room:7").await, Ok(()));
        client
            .batch_execute("delete from chat_membership where room_id = 7 and user_id = 1")
            .await
            .unwrap();
        site.instant.line("a subscription was ended", LIMIT).await;
        for room in ["room:7", "room:8"] {
            site.centrifugo.publish(room, &json!(room)).await;
        }
        assert_eq!(first.next().await, Ok(("room:8".to_owned(), json!("room:8"))));
        assert_eq!(second.next().await, Ok(("room:7".to_owned(), json!("room:7"))));
        assert_eq!(first.subscribe("room:7").await, Err(403));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_cannot_be_asked_again_is_told_of_once_and_the_others_are_asked() {
    let open = "
[channels.'open:{id}']
allow = 'select 1 from open_room where id = $id'
[channels.'far:{id}']
allow = 'select 1 from far($id)'
";
    // Three, for all that are asked at once, and by their name the first: what they answer is told of the database itself.
    let away = "
[channels.'away:{id}']
allow = 'select 1 from away($id)'
";
    let site = Site::on_hub(18, &format!("{ROOM}{open}{away}")).await;
    let client = site.django.database.connect().await;
    client
        .batch_execute(
            "create table chat_membership (room_id int, user_id int); insert into chat_membership values (7, 1), (8, 1);
             create table open_room (id int); insert into open_room values (1), (2);
             create function far(id int) returns setof int language plpgsql as 'begin return next 1; end';
             create function away(id int) returns setof int language plpgsql as 'begin return next 1; end'",
        )
        .await
        .unwrap();
    let mut browser = Browser::open(&site, &site.new_user("a").await).await;
    for room in ["room:7", "room:8", "far:1", "open:1", "open:2", "away:1", "away:2", "away:3"] {
        assert_eq!(browser.subscribe(room).await, Ok(()));
    }
    client
        .batch_execute(
            "alter table chat_membership rename to elsewhere;
             create or replace function far(id int) returns setof int language plpgsql as 'begin raise sqlstate ''08001''; end';
             create or replace function away(id int) returns setof int language plpgsql as 'begin raise sqlstate ''57P01''; end'",
        )
        .await
        .unwrap();
    for channel in ["`room:{room_id}`", "`far:{id}`"] {
        site.instant
            .line(&format!("the query of the channel {channel} cannot be run"), SOON)
            .await;
    }
    for room in ["1", "2"] {
        client
            .batch_execute(&format!("delete from open_room where id = {room}"))
            .await
            .unwrap();
        site.instant.line(&format!("channel=\"open:{room}\""), SOON).await;
    }
    let told = site.instant.output();
    assert_eq!(told.matches("a rule's query fails").count(), 2, "{told}");
    site.centrifugo.publish("room:7", &json!("still here")).await;
    assert_eq!(browser.next().await, Ok(("room:7".to_owned(), json!("still here"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_fails_on_what_a_table_contains_empties_no_room() {
    let rule = "
[channels.'level:{id}']
allow = 'select 1 from level where id = $id and least::int <= 3'
";
    let site = Site::on_hub(18, rule).await;
    let client = site.django.database.connect().await;
    client
        .batch_execute("create table level (id int, least text); insert into level values (1, '2'), (2, '2')")
        .await
        .unwrap();
    let mut browser = Browser::open(&site, &site.new_user("a").await).await;
    for room in ["level:1", "level:2"] {
        assert_eq!(browser.subscribe(room).await, Ok(()));
    }
    assert_eq!(browser.subscribe("level:none").await, Err(403), "no room has that name");
    client
        .batch_execute("update level set least = 'high' where id = 1; delete from level where id = 2")
        .await
        .unwrap();
    let line = site.instant.line("a rule's query fails", SOON).await;
    assert!(line.contains("level:{id}"), "{line}");
    site.instant.line("channel=\"level:2\"", SOON).await;
    site.centrifugo.publish("level:1", &json!("still here")).await;
    assert_eq!(browser.next().await, Ok(("level:1".to_owned(), json!("still here"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rooms_whose_rule_is_slow_are_asked_about_side_by_side() {
    let rule = "
[channels.'room:{room_id}']
allow = 'select $room_id::text <> $user_id::text from pg_sleep(0.4)'
";
    let site = Site::start(18, rule).await;
    let client = site.django.database.connect().await;
    let mut browser = Browser::open(&site, &site.new_user("a").await).await;
    for room in 2..=9 {
        assert_eq!(browser.subscribe(&format!("room:{room}")).await, Ok(()));
    }
    let most = "select count(*) from pg_stat_activity where application_name = 'instant revocation' and query like '%pg_sleep%'
        and state = 'active'";
    eventually(SOON, "three questions about rooms at once", async || {
        (client.query_one(most, &[]).await.unwrap().get::<_, i64>(0) == 3).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_visitors_listen_to_a_room_it_is_asked_about_once_a_look() {
    let open = "
[channels.'open:{room_id}']
allow = 'select is_open from open_room where id = $room_id'
";
    let site = Site::on_hub(18, open).await;
    let client = site.django.database.connect().await;
    client
        .batch_execute("create table open_room (id int, is_open bool); insert into open_room values (1, true)")
        .await
        .unwrap();
    let mut visitors = Vec::new();
    for _ in 0..40 {
        let mut visitor = Browser::open(&site, "").await;
        visitor.subscribe("open:1").await.unwrap();
        visitors.push(visitor);
    }
    // Four looks, and time for PostgreSQL to count.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let count = "select seq_scan from pg_stat_user_tables where relname = 'open_room'";
    let asked: i64 = client.query_one(count, &[]).await.unwrap().get(0);
    assert!(
        (41..80).contains(&asked),
        "{asked} questions for 40 subscriptions and some looks"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_becomes_private_is_taken_from_visitors_too() {
    let rule = "
[channels.'room:{room_id}']
allow = 'select is_public from chat_room where id = $room_id'
";
    for site in Site::both(rule).await {
        let client = site.django.database.connect().await;
        client
            .batch_execute("create table chat_room (id int, is_public bool); insert into chat_room values (7, true), (8, true)")
            .await
            .unwrap();
        let mut visitor = Browser::open(&site, "").await;
        for room in ["room:7", "room:8"] {
            assert_eq!(visitor.subscribe(room).await, Ok(()));
        }
        client
            .batch_execute("update chat_room set is_public = false where id = 7")
            .await
            .unwrap();
        site.instant.line("a subscription was ended", SOON).await;
        for room in ["room:7", "room:8"] {
            site.centrifugo.publish(room, &json!(room)).await;
        }
        assert_eq!(visitor.next().await, Ok(("room:8".to_owned(), json!("room:8"))));
    }
}

/// Serves Centrifugo's API, each call of which takes this long; returns its URL.
async fn slow_api(of: &Site, delay: Duration) -> String {
    let (http, target) = (of.http.clone(), of.centrifugo.url.clone());
    let pass = async move |uri: Uri, headers: HeaderMap, body: Bytes| {
        tokio::time::sleep(delay).await;
        let request = http.post(format!("{target}{uri}")).header("X-API-Key", &headers["x-api-key"]);
        request.body(body).send().await.unwrap().bytes().await.unwrap()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(pass)).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_taken_from_many_at_once_though_each_call_of_centrifugos_api_takes_a_while() {
    let rule = "
[channels.'room:{room_id}']
allow = 'select is_public from chat_room where id = $room_id'
";
    let mut site = Site::start(18, rule).await;
    let slow = slow_api(&site, Duration::from_millis(300)).await;
    site.variant("instant.toml", "instant.toml", &site.centrifugo.url, &slow);
    site.instant.signal("TERM").await;
    site.instant.wait(SOON).await;
    site.instant = Process::instant(site.folder.path(), &["run"], &[]);
    site.instant.line("leading", SOON).await;
    let client = site.django.database.connect().await;
    client
        .batch_execute("create table chat_room (id int, is_public bool); insert into chat_room values (7, true)")
        .await
        .unwrap();
    let mut visitors = Vec::new();
    for _ in 0..40 {
        let mut visitor = Browser::open(&site, "").await;
        assert_eq!(visitor.subscribe("room:7").await, Ok(()));
        visitors.push(visitor);
    }
    client.batch_execute("update chat_room set is_public = false").await.unwrap();
    let done = Instant::now();
    eventually(SOON, "the last subscription is ended", async || {
        let ended = site.instant.output().matches("a subscription was ended").count();
        (ended == 40).then_some(())
    })
    .await;
    assert!(done.elapsed() < LIMIT, "{:?}", done.elapsed());
}
