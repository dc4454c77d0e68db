//! A row that is saved in Django appears in the page, whatever happens in between.

use super::document::snippet;
use super::page::{Pages, is_clean};
use crate::support::process::Process;
use crate::support::proxy::{Mode, Proxy};
use crate::support::site::Site;
use crate::support::wait::SOON;

/// The events of the document's pages: orders in public, and in a room with history.
pub(super) const WATCH: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'status']
[[watch.rule]]
target = 'public'
message = 'Order {{ row.number }} is {{ row.status }}'
[[watch.rule]]
channel = 'room:7'
message = 'Order {{ row.number }} is {{ row.status }}'
[[watch.rule]]
target = 'users'
on = 'insert'
event_class = 'news'
message = 'news of {{ row.number }}'
[channels.'room:{id}']
allow = 'users'
history = { size = 20, ttl = '1m' }
presence = true
publish = 'users'
";

/// Opens a page that connects to Centrifugo or the hub, or to a proxy in front of it.
pub(super) fn tag(url: &str, attributes: &str) -> String {
    let url = url.replace("127.0.0.1", "localhost");
    format!("<script src=\"http://localhost:8001/instant.js\" data-url=\"{url}\" {attributes}></script>")
}

pub(super) async fn create(site: &Site, number: &str) {
    site.python(&format!("Order.objects.create(number='{number}')")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_saved_in_django_appears_in_the_page_and_each_hears_what_they_may() {
    for site in Site::both(WATCH).await {
        let Some(pages) = Pages::of(&site).await else { return };
        let session = site.new_user("a").await;
        let body = format!(
            "{}<script>instant.on('*', ({{ message, channel, event_class, data }}) =>
               document.body.append(`${{channel}}/${{event_class}}/${{message}}/${{data.status}} `))</script>",
            tag(&site.centrifugo.ws_url, "")
        );
        let user = pages.open(&site, &session, &body).await;
        let visitor = pages.open(&site, "", &body).await;
        create(&site, "A-1").await;
        user.line("users/news/news of A-1/draft", SOON).await;
        user.line("public/Order created/Order A-1 is draft/draft", SOON).await;
        visitor.line("public/Order created/Order A-1 is draft/draft", SOON).await;
        create(&site, "A-2").await;
        visitor.line("Order A-2 is draft", SOON).await;
        assert!(!visitor.output().contains("news of"), "{}", visitor.output());
        is_clean(&user);
        is_clean(&visitor);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_hub_or_of_centrifugo_nothing_is_missing_in_the_page() {
    for mut site in Site::both(WATCH).await {
        let Some(pages) = Pages::of(&site).await else { return };
        let body = snippet("instant.load(async").replace(
            "<script src=\"http://localhost:8001/instant.js\"></script>",
            &tag(&site.centrifugo.ws_url, ""),
        );
        let page = pages.open(&site, "", &body).await;
        create(&site, "A-1").await;
        page.line("text: A-1 draft", SOON).await;

        if site.has_proxies() {
            site.centrifugo.stop().await;
            create(&site, "A-2").await;
            site.centrifugo.start().await;
        } else {
            site.instant.signal("TERM").await;
            site.instant.wait(SOON).await;
            create(&site, "A-2").await;
            site.instant = Process::instant(site.folder.path(), &["run"], &[]);
            site.instant.line("leading", SOON).await;
        }
        page.line("gap: reconnect of public", SOON).await;
        page.line("text: A-1 draft A-2 draft", SOON).await;
        create(&site, "A-3").await;
        page.line("text: A-1 draft A-2 draft A-3 draft", SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_with_history_gets_what_it_missed_and_tells_a_gap_only_where_that_is_too_much() {
    for site in Site::both(WATCH).await {
        let Some(pages) = Pages::of(&site).await else { return };
        let session = site.new_user("a").await;
        let proxy = Proxy::to(&site.centrifugo.ws_url).await;
        let body = format!(
            "{}<script>instant.on('*', ({{ data }}) => document.body.append(`${{data.number}} `), {{ channel: 'room:7' }})</script>",
            tag(&proxy.url(&site.centrifugo.ws_url), "data-channels='room:7'")
        );
        let page = pages.open(&site, &session, &body).await;
        create(&site, "A-1").await;
        page.line("text: A-1", SOON).await;

        proxy.set(Mode::Cut);
        site.python("for n in (2, 3, 4): Order.objects.create(number=f'A-{n}')").await;
        heard_by_the_server(&site, "A-4").await;
        proxy.set(Mode::Pass);
        page.line("text: A-1 A-2 A-3 A-4", SOON).await;
        page.line("gap: reconnect of #1,public,users", SOON).await;

        proxy.set(Mode::Cut);
        site.python("for n in range(5, 45): Order.objects.create(number=f'A-{n}')")
            .await;
        heard_by_the_server(&site, "A-44").await;
        proxy.set(Mode::Pass);
        let gap = page.line("recovery", SOON).await;
        assert!(gap.contains("room:7"), "{gap}");
        assert!(!page.output().contains("A-5"), "{}", page.output());
    }
}

/// Waits until the room's history ends with this order.
async fn heard_by_the_server(site: &Site, number: &str) {
    crate::support::wait::eventually(SOON, number, async || {
        let parameters = serde_json::json!({ "channel": "room:7", "limit": 1, "reverse": true });
        let answer = site.centrifugo.call("history", &parameters).await;
        let last = &answer["result"]["publications"][0]["data"]["data"]["number"];
        (last == number).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_see_who_is_there_who_comes_and_who_goes() {
    for site in Site::both(WATCH).await {
        let Some(pages) = Pages::of(&site).await else { return };
        let (a, b) = (site.new_user("a").await, site.new_user("b").await);
        let body = format!(
            "{}<script>
               const room = instant.channel('room:7');
               const show = (what) => (...who) => document.body.append(`${{what}} ${{who.flat().map(({{ user }}) => user).sort()}} `);
               room.here(show('here')).joining(show('joining')).leaving(show('leaving'));
             </script>",
            tag(&site.centrifugo.ws_url, "")
        );
        let first = pages.open(&site, &a, &body).await;
        first.line("here 1", SOON).await;
        let second = pages.open(&site, &b, &body).await;
        second.line("here 1,2", SOON).await;
        first.line("joining 2", SOON).await;
        drop(second);
        first.line("leaving 2", SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_is_there_as_a_member_with_an_empty_key() {
    let rules = format!("{WATCH}[channels.'lobby:all']\nallow = 'everyone'\npresence = true\n");
    for site in Site::both(&rules).await {
        let Some(pages) = Pages::of(&site).await else { return };
        let body = format!(
            "{}<script>
               const lobby = instant.channel('lobby:all');
               const show = (what) => (...who) => document.body.append(`${{what}} ${{JSON.stringify(who.flat().map(({{ user }}) => user))}} `);
               lobby.here(show('here')).joining(show('joining')).leaving(show('leaving'));
             </script>",
            tag(&site.centrifugo.ws_url, "")
        );
        let first = pages.open(&site, "", &body).await;
        first.line("here [\"\"]", SOON).await;
        let second = pages.open(&site, "", &body).await;
        second.line("here [\"\",\"\"]", SOON).await;
        drop(second);
        first.line("leaving [\"\"]", SOON).await;
    }
}

/// A page whose policy allows only the client, with the script's tag twice and an element of the client's name.
fn strict(attributes: &str) -> String {
    let script = format!("<script src=\"http://localhost:8001/instant.js\" {attributes}></script>");
    format!(
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; img-src data:;
           script-src 'unsafe-inline' http://localhost:8001; connect-src ws://localhost:8001\">
         <p id='instant'></p>{script}{script}
         <script>
           console.log('it is', instant.state);
           instant.on('*', ({{ message }}) => document.body.append(`${{message}} `));
           const connect = () => console.log('it is still', instant.state) ?? instant.connect();
           if (document.querySelector('[data-manual]')) addEventListener('load', () => setTimeout(connect));
         </script>"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_connects_once_whatever_stands_in_it_and_waits_where_it_is_told_to() {
    let site = Site::on_hub(18, WATCH).await;
    let Some(pages) = Pages::of(&site).await else { return };
    for (attributes, before) in [("", "it is disconnected"), ("data-manual", "it is still disconnected")] {
        let page = pages.open(&site, "", &strict(attributes)).await;
        site.python("Order.objects.all().delete(); Order.objects.create(number='A-1'); Order.objects.create(number='A-2')")
            .await;
        page.line("Order A-1 is draft Order A-2 is draft", SOON).await;
        page.line(before, SOON).await;
        is_clean(&page);
        assert_eq!(page.output().matches("socket: ").count(), 1, "{}", page.output());
    }
}
