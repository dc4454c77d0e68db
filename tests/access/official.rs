//! The official JavaScript client, as in a page of the site.

use serde_json::{Value, json};

use super::targets::{persona, table};
use crate::support::cache::{self, manifest};
use crate::support::django::Django;
use crate::support::process::Process;
use crate::support::site::{ORIGIN, Site};
use crate::support::wait::SOON;

const ROOMS: &str = "
[channels.'room:{room_id}']
allow = 'select 1 from chat_membership where room_id = $room_id and user_id = $user_id'
";

/// Opens a page with this session that subscribes to the channel.
fn page(site: &Site, session: &str, channel: &str) -> Process {
    let script = manifest("tests/tools/client/browser.mjs");
    let (client, cookie) = (cache::path("client"), format!("sessionid={session}"));
    let url = &site.centrifugo.ws_url;
    let arguments = [
        script.to_str().unwrap(),
        client.to_str().unwrap(),
        url,
        ORIGIN,
        &cookie,
        channel,
    ];
    Process::new("node", site.folder.path(), &arguments, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_hears_its_own_channel_and_its_rooms_and_is_cut_at_the_log_out() {
    let site = Site::start(18, ROOMS).await;
    let client = site.django.database.connect().await;
    client
        .batch_execute("create table chat_membership (room_id int, user_id int); insert into chat_membership values (7, 1)")
        .await
        .unwrap();
    let session = site.python("u = user('a'); c = login('a'); print(cookie(c))").await;
    let other = site.new_user("b").await;
    let mine = page(&site, &session, "room:7");
    let theirs = page(&site, &other, "room:7");
    mine.line(r##""hears","channel":"#1""##, SOON).await;
    theirs.line(r##""hears","channel":"#2""##, SOON).await;
    mine.line(r#""subscribed","channel":"room:7""#, SOON).await;
    theirs.line(r#""unsubscribed","channel":"room:7","code":403"#, SOON).await;
    for channel in ["#2", "#1", "room:7", "users"] {
        site.centrifugo.publish(channel, &json!(format!("to {channel}"))).await;
    }
    for page in [&mine, &theirs] {
        page.line(r#""data":"to users""#, SOON).await;
    }
    mine.line(r#""data":"to #1""#, SOON).await;
    mine.line(r#""data":"to room:7""#, SOON).await;
    theirs.line(r#""data":"to #2""#, SOON).await;
    assert!(!mine.output().contains("to #2"), "{}", mine.output());
    let heard = theirs.output();
    assert!(!heard.contains("to #1") && !heard.contains("to room:7"), "{heard}");
    site.python("c.post('/accounts/logout/')").await;
    // It connects again as a visitor, as the code wants it, and is out of the room.
    mine.line(r#""connecting","code":4001"#, SOON).await;
    mine.line(r#""unsubscribed","channel":"room:7","code":403"#, SOON).await;
    site.centrifugo.publish("#1", &json!("too late")).await;
    site.centrifugo.publish("public", &json!("end")).await;
    mine.line(r#""data":"end""#, SOON).await;
    assert!(!mine.output().contains("too late"), "{}", mine.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_hears_exactly_what_the_table_says_under_both_djangos() {
    for django in [Django::on(15).await, Django::lts_on(18).await] {
        let site = Site::of(django, "").await;
        let mut pages = Vec::new();
        let mut everything = Vec::new();
        for (who, hears) in table() {
            let printed = site.python(persona(&who)).await;
            let (session, key) = printed.rsplit_once(' ').unwrap();
            let mut hears: Vec<String> = hears.iter().map(|channel| channel.replace("ID", key)).collect();
            hears.sort();
            everything.extend(hears.iter().cloned().chain([format!("#{key}")]));
            pages.push((who, hears, page(&site, session, "elsewhere:1")));
        }
        everything.retain(|channel| channel != "public");
        everything.sort();
        everything.dedup();
        for (_, _, page) in &pages {
            page.line(r#""hears","channel":"public""#, SOON).await;
        }
        for channel in &everything {
            site.centrifugo.publish(channel, &json!("secret")).await;
        }
        site.centrifugo.publish("public", &json!("end")).await;
        for (who, hears, page) in &pages {
            page.line(r#""data":"end""#, SOON).await;
            let output = page.output();
            let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let publications = lines.filter(|line| line["event"] == "publication");
            let mut heard: Vec<String> = publications
                .map(|line| line["channel"].as_str().unwrap().to_owned())
                .collect();
            heard.sort();
            assert_eq!(heard, *hears, "{who}: {output}");
        }
    }
}
