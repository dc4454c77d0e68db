//! Revoked access ends on open sockets too.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::process::Process;
use crate::support::site::{Browser, ORIGIN, Site};
use crate::support::wait::{SOON, eventually};

/// The promised time.
const LIMIT: Duration = Duration::from_secs(5);

const ROOM: &str = "
[channels.'room:{room_id}']
allow = 'select 1 from chat_membership where room_id = $room_id and user_id = $user_id'
";

/// What is done to a user, and what its browser receives after that.
const DEEDS: [(&str, &str, &[&str]); 8] = [
    ("logged out", "clients['{}'].post('/accounts/logout/')", &["public"]),
    (
        "deactivated",
        "User.objects.filter(username='{}').update(is_active=False)",
        &["public"],
    ),
    (
        "password",
        "u = User.objects.get(username='{}'); u.set_password('x'); u.save()",
        &["public"],
    ),
    ("deleted", "User.objects.get(username='{}').delete()", &["public"]),
    (
        "expired",
        "Session.objects.filter(pk=cookie(clients['{}'])).update(expire_date=timezone.now())",
        &["public"],
    ),
    (
        "no-group",
        "User.objects.get(username='{}').groups.clear()",
        &["#ID", "public", "staff", "users"],
    ),
    (
        "no-staff",
        "User.objects.filter(username='{}').update(is_staff=False)",
        &["#ID", "group.g", "public", "users"],
    ),
    (
        "promoted",
        "User.objects.filter(username='{}').update(is_superuser=True)",
        &["#ID", "group.g", "public", "staff", "superuser", "users"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_from_a_user_is_taken_from_open_sockets_within_five_seconds() {
    for site in Site::everywhere("").await {
        site.python("clients = {}; group = Group.objects.create(name='g')").await;
        let mut open = Vec::new();
        for (name, ..) in DEEDS.iter().chain([&("untouched", "", &[][..])]) {
            let made = format!(
                "u = user('{name}', is_staff=True); u.groups.add(group); clients['{name}'] = login('{name}')
print(cookie(clients['{name}']), u.pk)"
            );
            let printed = site.python(&made).await;
            let (cookie, key) = printed.split_once(' ').unwrap();
            let browser = Browser::open(&site, cookie).await;
            assert_eq!(browser.channels, [&format!("#{key}"), "group.g", "public", "staff", "users"]);
            open.push((*name, cookie.to_owned(), key.to_owned(), browser));
        }
        let (_, _, _, mut untouched) = open.pop().unwrap();
        for ((name, deed, hears), (_, cookie, key, mut browser)) in DEEDS.iter().zip(open) {
            site.python(&deed.replace("{}", name)).await;
            let done = Instant::now();
            assert_eq!(browser.next().await, Err(4001), "{name}");
            assert!(done.elapsed() < LIMIT, "{name}: {:?}", done.elapsed());
            // The client connects again, as that code wants it.
            let again = Browser::open(&site, &cookie).await;
            let hears: Vec<String> = hears.iter().map(|channel| channel.replace("ID", &key)).collect();
            assert_eq!(again.channels, hears, "{name}");
        }
        site.centrifugo.publish("staff", &json!("still here")).await;
        assert_eq!(untouched.next().await, Ok(("staff".to_owned(), json!("still here"))));
    }
}

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
async fn a_log_out_is_seen_and_a_log_in_answered_while_clients_ask_for_slow_rooms_without_end() {
    let rule = "
[channels.'slow:{id}']
allow = 'select 1 from pg_sleep(5) where $id = $id'
";
    let site = Site::on_hub(18, rule).await;
    let sessions = site
        .python("user('a'); c = login('a'); d = login('a'); print(cookie(c), cookie(d))")
        .await;
    let (first, second) = sessions.split_once(' ').unwrap();
    let mut browser = Browser::open(&site, first).await;
    let mut asking = JoinSet::new();
    for number in 0..75 {
        let mut visitor = Browser::open(&site, "").await;
        asking.spawn(async move {
            // They are told to try again after a second and a half: not all at once, which would leave a gap.
            tokio::time::sleep(Duration::from_millis(20 * number)).await;
            while visitor.subscribe("slow:1").await == Err(100) {}
        });
    }
    let client = site.django.database.connect().await;
    let asked = "select count(*) from pg_stat_activity where datname = current_database() and query like '%pg_sleep(5)%'
        and state = 'active' and pid <> pg_backend_pid()";
    eventually(SOON, "three questions at once", async || {
        (client.query_one(asked, &[]).await.unwrap().get::<_, i64>(0) >= 3).then_some(())
    })
    .await;
    site.python("c.post('/accounts/logout/')").await;
    let done = Instant::now();
    assert_eq!(browser.next().await, Err(4001));
    assert!(done.elapsed() < LIMIT, "{:?}", done.elapsed());
    assert_eq!(Browser::open(&site, second).await.channels, ["#1", "public", "users"]);
    assert!(asking.try_join_next().is_none(), "they ask no more");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_of_a_connection_that_another_process_has_answered_ends_it() {
    let site = Site::start(18, "").await;
    let cookie = format!("sessionid={}", site.new_user("a").await);
    let (_, connected) = site.ask("connect", &cookie, &json!({ "client": "c" })).await;
    let body = |client: &str| json!({ "client": client, "user": "1", "meta": connected["result"]["meta"] });
    let (_, answer) = site.ask("refresh", &cookie, &body("c")).await;
    assert!(answer["result"]["expire_at"].is_u64(), "{answer}");
    // Which rooms it is in, nobody knows.
    let (_, answer) = site.ask("refresh", &cookie, &body("unknown")).await;
    assert_eq!(answer, json!({ "result": { "expired": true } }));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_room_does_not_make_a_connection_known_that_another_process_has_answered() {
    let site = Site::start(18, "[channels.'lobby:{x}']\nallow = 'users'\n").await;
    let cookie = format!("sessionid={}", site.new_user("a").await);
    let (_, connected) = site.ask("connect", &cookie, &json!({ "client": "c" })).await;
    let body = json!({ "client": "unknown", "user": "1", "channel": "lobby:1", "meta": connected["result"]["meta"] });
    let (_, answer) = site.ask("subscribe", &cookie, &body).await;
    assert_eq!(answer, json!({ "result": {} }));
    let (_, answer) = site.ask("refresh", &cookie, &body).await;
    assert_eq!(answer, json!({ "result": { "expired": true } }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_of_a_token_are_cut_with_its_session() {
    for site in Site::both("").await {
        let session = site.python("u = user('a'); c = login('a'); print(cookie(c))").await;
        let request = site.http.post(format!("{}/token", site.url)).header("Origin", ORIGIN);
        let reply = request.header("Cookie", format!("sessionid={session}")).send().await.unwrap();
        let answer: serde_json::Value = reply.json().await.unwrap();
        let mut browser = Browser::try_open(&site, "", json!({ "token": answer["token"] }))
            .await
            .unwrap();
        site.python("c.post('/accounts/logout/')").await;
        let done = Instant::now();
        assert_eq!(browser.next().await, Err(4001));
        assert!(done.elapsed() < LIMIT);
        // A token that was kept opens no lasting connection.
        if let Ok(mut kept) = Browser::try_open(&site, "", json!({ "token": answer["token"] })).await {
            assert_eq!(kept.next().await, Err(4001));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_cuts_the_connections_of_its_token_and_not_those_of_other_sessions() {
    for site in Site::both("").await {
        let sessions = site
            .python("u = user('a'); c = login('a'); d = login('a'); print(cookie(c), cookie(d))")
            .await;
        let (first, second) = sessions.split_once(' ').unwrap();
        let mut other = Browser::open(&site, second).await;
        let request = site.http.post(format!("{}/token", site.url)).header("Origin", ORIGIN);
        let reply = request.header("Cookie", format!("sessionid={first}")).send().await.unwrap();
        let answer: serde_json::Value = reply.json().await.unwrap();
        let connect = json!({ "token": answer["token"] });
        let mut browser = Browser::try_open(&site, "", connect.clone()).await.unwrap();
        site.python("c.post('/accounts/logout/')").await;
        assert_eq!(browser.next().await, Err(4001));
        match Browser::try_open(&site, "", connect).await {
            Ok(mut again) => assert_eq!(again.next().await, Err(4001), "the token is still good"),
            Err(code) => assert_eq!(
                (code, site.has_proxies()),
                (109, false),
                "the hub knows the session of a token"
            ),
        }
        site.centrifugo.publish("users", &json!("still here")).await;
        assert_eq!(other.next().await, Ok(("users".to_owned(), json!("still here"))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_ends_what_has_changed_and_lets_the_rest_go_on() {
    let site = Site::start(18, "").await;
    let cookie = format!("sessionid={}", site.new_user("a").await);
    let (_, connected) = site.ask("connect", &cookie, &json!({ "client": "c" })).await;
    let meta = &connected["result"]["meta"];
    let body = json!({ "client": "c", "user": "1", "meta": meta });
    let (status, answer) = site.ask("refresh", &cookie, &body).await;
    assert!(status == 200 && answer["result"]["expire_at"].is_u64(), "{answer}");
    let expire_at = answer["result"]["expire_at"].as_u64().unwrap();
    assert!((200..=300).contains(&(expire_at - instant::access::now())), "{answer}");
    site.python("Session.objects.update(expire_date=timezone.now() + datetime.timedelta(seconds=100))")
        .await;
    let (_, answer) = site.ask("refresh", &cookie, &body).await;
    assert!(
        answer["result"]["expire_at"].as_u64().unwrap() <= instant::access::now() + 100,
        "{answer}"
    );
    site.python("User.objects.update(is_staff=True)").await;
    let (_, answer) = site.ask("refresh", &cookie, &body).await;
    assert_eq!(answer, json!({ "result": { "expired": true } }));
}
