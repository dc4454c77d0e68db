//! The official JavaScript client, as a page of the site has it.

use serde_json::json;

use crate::support::cache::{self, manifest};
use crate::support::process::Process;
use crate::support::site::{ORIGIN, Site};
use crate::support::wait::SOON;

const ROOMS: &str = "
[channels.'room:{room_id}']
allow = 'select 1 from chat_membership where room_id = $room_id and user_id = $user_id'
";

/// A page with this session, that subscribes to the channel.
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
