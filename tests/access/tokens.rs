//! Tokens: who gets them, and what they allow.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant::django::mac;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::attacks::refused_at_last;
use crate::support::process::{Process, instant};
use crate::support::site::{Browser, ORIGIN, Site};
use crate::support::wait::SOON;

const LOBBY: &str = "[channels.'lobby:{x}']\nallow = 'users'\n";

/// Requests a token; returns the status and the body.
async fn token(site: &Site, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut request = site.http.post(format!("{}/token", site.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_given_to_a_page_of_the_site_with_a_log_in_alone() {
    for site in Site::both("").await {
        let cookie = format!("sessionid={}", site.new_user("user").await);
        let good = [("Origin", ORIGIN), ("Cookie", cookie.as_str())];
        let (status, answer) = token(&site, &good).await;
        assert_eq!(status, 200);
        let given = answer["token"].as_str().unwrap().to_owned();
        let mut browser = Browser::try_open(&site, "", json!({ "token": given })).await.unwrap();
        assert_eq!(browser.channels, ["#1", "public", "users"]);
        assert_eq!(browser.subscribe("staff").await, Err(403));

        for origin in [
            "http://evil.example",
            "null",
            "https://shop.example",
            "http://shop.example.evil.example",
            "http://shop.example:81",
            "*",
            "",
        ] {
            assert_eq!(
                token(&site, &[("Origin", origin), ("Cookie", &cookie)]).await.0,
                403,
                "{origin}"
            );
        }
        assert_eq!(token(&site, &[("Cookie", &cookie)]).await.0, 403);
        assert_eq!(
            token(
                &site,
                &[("Origin", ORIGIN), ("Origin", "http://evil.example"), ("Cookie", &cookie)]
            )
            .await
            .0,
            403
        );
        for cookie in [
            "",
            "sessionid=",
            "sessionid=0123456789abcdef",
            "sessionid=' or 1=1 --",
            "sessionid=%00",
            "csrftoken=x",
        ] {
            assert_eq!(
                token(&site, &[("Origin", ORIGIN), ("Cookie", cookie)]).await.0,
                401,
                "{cookie}"
            );
        }
        refused_at_last("one address that asks without end", async || token(&site, &good).await.0).await;
        let other = [good[0], good[1], ("X-Forwarded-For", "192.0.2.7")];
        assert_eq!(token(&site, &other).await.0, 200, "another address waits for nobody");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_changed_forged_or_swapped_is_refused() {
    for site in Site::both(LOBBY).await {
        site.new_user("user").await;
        let made = instant(site.folder.path(), &["token", "--user", "1"], &[]).await;
        let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let mut browser = Browser::try_open(&site, "", json!({ "token": token })).await.unwrap();
        assert_eq!(browser.channels, ["#1", "public", "users"]);
        assert_eq!(browser.subscribe("lobby:1").await, Ok(()));
        let parts: Vec<&str> = token.split('.').collect();
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let none = encode(r#"{"alg":"none","typ":"JWT"}"#);
        let claims = encode(r#"{"sub":"2","exp":4000000000,"channels":["staff"]}"#);
        let forged = [
            format!("{none}.{claims}."),
            format!("{none}.{claims}.{}", parts[2]),
            format!("{}.{claims}.{}", parts[0], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}.{}", parts[0], parts[1], parts[2].to_lowercase()),
            token[..token.len() - 2].to_owned(),
        ];
        for forged in forged {
            let opened = Browser::try_open(&site, "", json!({ "token": forged })).await;
            assert_eq!(opened.err(), Some(3500), "{forged}");
        }
        site.python("User.objects.filter(pk=1).update(is_active=False)").await;
        let made = instant(site.folder.path(), &["token", "--user", "1"], &[]).await;
        assert!(!made.status.success() && made.stdout.is_empty());
        let opened = Browser::try_open(&site, "", json!({ "token": token })).await;
        if !site.has_proxies() {
            assert_eq!(opened.err(), Some(4501));
            continue;
        }
        // Centrifugo asks nobody: the token is still good there, until the next look at what is revoked.
        let mut browser = opened.unwrap();
        let asked = browser.subscribe("lobby:1").await;
        assert!(
            matches!(asked, Err(403 | 4001)),
            "a deactivated user opens nothing more: {asked:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_serves_its_own_purpose_and_its_own_connection_alone() {
    for site in Site::both(LOBBY).await {
        site.new_user("user").await;
        let (config, _) = instant::config::load(&site.folder.path().join("instant.toml")).unwrap();
        let secret = instant::access::token::secret(&config).unwrap();
        let sign = |claims: Value| {
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
            let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
            let signature = mac::digest(secret.expose_secret().as_bytes(), signed.as_bytes());
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        };
        let exp = instant::access::now() + 600;
        let connection = |channels: &[&str]| sign(json!({ "sub": "1", "exp": exp, "channels": channels }));
        let subscription = |client: &str, channel: &str, user: &str| {
            let mut claims = json!({ "sub": user, "exp": exp, "channel": channel });
            if !client.is_empty() {
                claims["client"] = json!(client);
            }
            sign(claims)
        };
        let open = async || {
            Browser::try_open(&site, "", json!({ "token": connection(&["public"]) }))
                .await
                .unwrap()
        };

        let as_connection = json!({ "token": subscription("", "lobby:1", "1") });
        assert_eq!(Browser::try_open(&site, "", as_connection).await.err(), Some(3500));
        for (token, code) in [
            (connection(&["lobby:1"]), 103),
            (subscription("", "lobby:2", "1"), 3500),
            (subscription("", "lobby:1", "2"), 3500),
            (subscription("another", "lobby:1", "1"), 3500),
        ] {
            assert_eq!(open().await.subscribe_with("lobby:1", &token).await, Err(code), "{token}");
        }
        let mut browser = open().await;
        let client = browser.client.clone();
        assert_eq!(
            browser
                .subscribe_with("lobby:1", &subscription(&client, "lobby:1", "1"))
                .await,
            Ok(()),
            "the control"
        );
        // Centrifugo, as it is configured here, leaves no refresh to clients.
        if site.has_proxies() {
            continue;
        }
        assert_eq!(browser.refresh(&connection(&["public"])).await, Ok(()), "the control");
        assert_eq!(browser.refresh(&connection(&["public", "staff"])).await, Err(3010));
        assert_eq!(open().await.refresh(&subscription("", "lobby:1", "1")).await, Err(3500));
        let other = sign(json!({ "sub": "2", "exp": exp, "channels": ["public"] }));
        assert_eq!(open().await.refresh(&other).await, Err(3500));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_group_that_its_user_has_left_opens_nothing_on_the_hub() {
    let site = Site::on_hub(18, "").await;
    site.python("user('a').groups.add(Group.objects.create(name='g'))").await;
    let made = instant(site.folder.path(), &["token", "--user", "1"], &[]).await;
    let token = json!({ "token": String::from_utf8(made.stdout).unwrap().trim() });
    let browser = Browser::try_open(&site, "", token.clone()).await.unwrap();
    assert_eq!(browser.channels, ["#1", "group.g", "public", "users"]);
    site.python("User.objects.get().groups.clear()").await;
    assert_eq!(
        Browser::try_open(&site, "", token).await.err(),
        Some(109),
        "it is to bring another"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_does_not_hide_what_an_earlier_one_of_the_same_session_has_opened() {
    let site = Site::start(18, "").await;
    let made = "u = user('a'); u.groups.add(Group.objects.create(name='g')); print(cookie(login('a')))";
    let cookie = format!("sessionid={}", site.python(made).await);
    let page = [("Origin", ORIGIN), ("Cookie", cookie.as_str())];
    let (_, earlier) = token(&site, &page).await;
    let mut browser = Browser::try_open(&site, "", json!({ "token": earlier["token"] }))
        .await
        .unwrap();
    assert_eq!(browser.channels, ["#1", "group.g", "public", "users"]);
    site.python("User.objects.get().groups.clear()").await;
    assert_eq!(token(&site, &page).await.0, 200);
    assert_eq!(browser.next().await, Err(4001));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_rights_cuts_the_connections_of_a_token_once_and_those_of_the_next_token_stay() {
    for site in Site::both("").await {
        let made = "u = user('a'); u.groups.add(Group.objects.create(name='g')); print(cookie(login('a')))";
        let cookie = format!("sessionid={}", site.python(made).await);
        let page = [("Origin", ORIGIN), ("Cookie", cookie.as_str())];
        let mut other = Browser::open(&site, &site.new_user("b").await).await;
        let (_, first) = token(&site, &page).await;
        let first = json!({ "token": first["token"] });
        let mut browser = Browser::try_open(&site, "", first.clone()).await.unwrap();
        assert_eq!(browser.channels, ["#1", "group.g", "public", "users"]);
        let deeds = [
            (
                "u.is_staff = True; u.save()",
                &["#1", "group.g", "public", "staff", "users"][..],
            ),
            ("u.groups.clear()", &["#1", "public", "staff", "users"]),
        ];
        for (deed, hears) in deeds {
            site.python(deed).await;
            assert_eq!(browser.next().await, Err(4001), "{deed}");
            let (_, next) = token(&site, &page).await;
            browser = Browser::try_open(&site, "", json!({ "token": next["token"] })).await.unwrap();
            assert_eq!(browser.channels, hears);
        }
        let earlier = Browser::try_open(&site, "", first).await;
        // Each of these is seen by another look at what is revoked.
        for flag in ["True", "False", "True"] {
            site.python(&format!("User.objects.filter(username='b').update(is_staff={flag})"))
                .await;
            assert_eq!(other.next().await, Err(4001));
            other = Browser::open(&site, &site.python("print(cookie(login('b')))").await).await;
        }
        for (channel, said) in [("group.g", "secret"), ("users", "marker")] {
            site.centrifugo.publish(channel, &json!(said)).await;
        }
        assert_eq!(browser.heard("marker").await, [""; 0]);
        match earlier {
            Ok(mut earlier) => assert_eq!(
                earlier.heard("marker").await,
                [""; 0],
                "the token is still good, its group is not"
            ),
            Err(code) => assert_eq!((code, site.has_proxies()), (109, false)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_cuts_no_connection_that_the_token_of_another_session_has_opened_on_the_hub() {
    let site = Site::on_hub(18, "").await;
    let sessions = site
        .python("user('a'); c = login('a'); d = login('a'); print(cookie(c), cookie(d))")
        .await;
    let mut open = Vec::new();
    for session in sessions.split(' ') {
        let cookie = format!("sessionid={session}");
        let (_, answer) = token(&site, &[("Origin", ORIGIN), ("Cookie", &cookie)]).await;
        let connect = json!({ "token": answer["token"] });
        open.push((Browser::try_open(&site, "", connect.clone()).await.unwrap(), connect));
    }
    let [(mut first, kept), (mut second, _)] = <[_; 2]>::try_from(open).ok().unwrap();
    site.python("c.post('/accounts/logout/')").await;
    assert_eq!(first.next().await, Err(4001));
    assert_eq!(
        Browser::try_open(&site, "", kept).await.err(),
        Some(109),
        "it is to bring another"
    );
    site.centrifugo.publish("users", &json!("still here")).await;
    assert_eq!(second.next().await, Ok(("users".to_owned(), json!("still here"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_hub_that_was_restarted_opens_nothing_and_is_exchanged_for_another() {
    let mut site = Site::on_hub(18, "").await;
    let cookie = format!("sessionid={}", site.python("user('a'); print(cookie(login('a')))").await);
    let ask = [("Origin", ORIGIN), ("Cookie", cookie.as_str())];
    let (_, kept) = token(&site, &ask).await;
    site.instant.signal("TERM").await;
    site.instant.wait(SOON).await;
    site.instant = Process::instant(site.folder.path(), &["run"], &[]);
    site.instant.line("leading", SOON).await;
    // The new process does not know the session of the former one's token, and so would not learn of its end.
    let kept = json!({ "token": kept["token"] });
    assert_eq!(Browser::try_open(&site, "", kept).await.err(), Some(109));
    let (_, next) = token(&site, &ask).await;
    let mut browser = Browser::try_open(&site, "", json!({ "token": next["token"] })).await.unwrap();
    let end = "from django.contrib.sessions.models import Session; Session.objects.all().delete()";
    site.python(end).await;
    assert_eq!(browser.next().await, Err(4001));
}
