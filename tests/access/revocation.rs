//! Revoked access ends on open sockets too.

mod rooms;

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

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
