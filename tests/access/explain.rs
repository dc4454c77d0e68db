//! `doctor --as` reports what the answer to a browser would be, and why.

use serde_json::{Value, json};

use crate::support::process::instant;
use crate::support::site::Site;

const ROOMS: &str = "
[channels.'room:{room_id}']
allow = 'select 1 from chat_membership where room_id = $room_id and user_id = $user_id'
[channels.'news:all']
allow = 'everyone'
";

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_explained_with_the_user_the_rule_and_its_values() {
    let site = Site::start(18, ROOMS).await;
    let client = site.django.database.connect().await;
    client
        .batch_execute("create table chat_membership (room_id int, user_id int); insert into chat_membership values (7, 1)")
        .await
        .unwrap();
    site.python("u = user('a', is_staff=True); u.groups.add(Group.objects.create(name='g')); user('b', is_active=False)")
        .await;
    let explain = async |user: &str, channel: &str| {
        let output = instant(site.folder.path(), &["doctor", "--json", "--as", user, channel], &[]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let member = explain("1", "room:7").await;
    assert_eq!(member["user"]["groups"], json!(["g"]));
    assert_eq!(member["own_channels"], json!(["public", "users", "staff", "group.g", "#1"]));
    let rule = json!([{ "rule": "room:{room_id}", "allow": "a query", "values": [["room_id", "7"]], "lets_in": true }]);
    assert_eq!((&member["rules"], &member["allowed"]), (&rule, &json!(true)));
    for (user, channel, allowed, reason) in [
        ("1", "room:8", false, "does not allow it"),
        ("1", "#1", true, "by itself"),
        ("1", "#2", false, "no rule matches it"),
        ("2", "users", false, "not active"),
        ("2", "news:all", true, "not active"),
        ("3", "users", false, "no such user"),
        ("x", "users", false, "no such user"),
        ("", "news:all", true, "allows it: everyone"),
        ("", "room:7", false, "does not allow it"),
    ] {
        let found = explain(user, channel).await;
        assert_eq!(found["allowed"], allowed, "{found}");
        assert!(found["reason"].as_str().unwrap().contains(reason), "{found}");
    }
    let output = instant(site.folder.path(), &["doctor", "--as", "1", "room:8"], &[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("room:{room_id} (a query), with room_id = 8: refuses"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_of_a_channel_rule_whose_namespace_the_running_server_does_not_know() {
    let site = Site::start(18, ROOMS).await;
    let findings = async || {
        let output = instant(site.folder.path(), &["doctor", "--json"], &[]).await;
        let all: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        all.into_iter()
            .filter(|finding| finding["code"] == "namespace")
            .collect::<Vec<_>>()
    };
    assert_eq!(findings().await, Vec::<Value>::new());
    let path = site.folder.path().join("instant.toml");
    let text = std::fs::read_to_string(&path).unwrap() + "[channels.'lobby:{x}']\nallow = 'users'\n";
    std::fs::write(&path, text).unwrap();
    let found = findings().await;
    assert!(found.len() == 1 && found[0]["place"] == "lobby:instant", "{found:?}");
}
