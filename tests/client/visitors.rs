//! Pages whose user may not receive something, or no longer.

use instant::access::token::{self, Claims};
use instant::{access, config};

use super::page::Pages;
use super::rows::{WATCH, create, tag};
use crate::support::proxy::Proxy;
use crate::support::site::Site;
use crate::support::wait::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_channel_is_told_to_the_page_and_the_rest_goes_on() {
    for site in Site::both(WATCH).await {
        let Some(pages) = Pages::of(&site).await else { return };
        let body = format!(
            "{}<script>
               instant.onError((error) => console.log('onError', error.message));
               instant.onState((state) => console.log('state', state));
               instant.on('*', ({{ message }}) => console.log(message));
               instant.channel('room:7').ready().catch((error) => console.log('refused', error.message));
             </script>",
            tag(&site.centrifugo.ws_url, "")
        );
        let visitor = pages.open(&site, "", &body).await;
        visitor.line("console: refused room:7: permission denied (403)", SOON).await;
        visitor.line("console: onError room:7: permission denied (403)", SOON).await;
        visitor.line("console: state connected", SOON).await;
        create(&site, "A-1").await;
        visitor.line("console: Order A-1 is draft", SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_channel_that_the_page_asks_for_before_its_connection_has_it_is_heard_before_and_after() {
    let rule = "[[watch.rule]]\ntarget = { group = 'g' }\nmessage = 'for the group: {{ row.number }}'\n";
    let rules = WATCH.replace("[channels.", &format!("{rule}[channels."));
    for site in Site::both(&rules).await {
        let Some(pages) = Pages::of(&site).await else { return };
        let session = site.new_user("a").await;
        let body = format!(
            "{}<script>
               instant.on('*', ({{ message, channel }}) => document.body.append(`${{channel}}/${{message}} `));
               instant.once('Order created', () => instant.channel('group.g').ready().then(() => console.log('it listens')));
             </script>",
            tag(&site.centrifugo.ws_url, "")
        );
        let page = pages.open(&site, &session, &body).await;
        site.python(
            "User.objects.get(username='a').groups.add(Group.objects.create(name='g')); Order.objects.create(number='A-1')",
        )
        .await;
        page.line("console: it listens", SOON).await;
        page.line("gap: reconnect of #1,group.g,public,users", SOON).await;
        create(&site, "A-2").await;
        page.line("group.g/for the group: A-2", SOON).await;
    }
}

/// A connection token of user 1 that expires in some seconds.
fn brief_token(site: &Site) -> String {
    let (config, _) = config::load(&site.folder.path().join("instant.toml")).unwrap();
    let claims = Claims {
        iss: "a script",
        sub: "1",
        exp: access::now() + 10,
        iat: access::now(),
        channels: &["public".to_owned(), "users".to_owned()],
        sid: "",
    };
    token::sign(&claims, &token::secret(&config).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_with_a_token_becomes_its_user_and_without_another_a_visitor_again() {
    for site in Site::both(WATCH).await {
        let Some(pages) = Pages::of(&site).await else { return };
        site.new_user("a").await;
        let proxy = Proxy::to(&site.centrifugo.ws_url).await;
        let body = format!(
            "{}<script>
               let states = 0;
               instant.onState((state) => console.log('state', state, ++states));
               instant.on('*', ({{ message, channel }}) => document.body.append(`${{channel}}/${{message}} `));
             </script>",
            tag(&proxy.url(&site.centrifugo.ws_url), "data-token-url='/token'")
        );
        let page = pages.open(&site, "", &body).await;
        pages.give(Some(&brief_token(&site)));
        proxy.reset();
        page.line("console: state connected 4", SOON).await;
        create(&site, "A-1").await;
        page.line("users/news of A-1", SOON).await;
        pages.give(None);
        page.line("console: state connected 6", SOON).await;
        create(&site, "A-2").await;
        page.line("public/Order A-2 is draft", SOON).await;
        let output = page.output();
        assert!(
            !output.contains("news of A-2") && !output.contains("state failed"),
            "{output}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_visitors_may_not_connect_the_page_is_told_that_it_has_failed() {
    for site in Site::both("[channels]\nanonymous = false").await {
        let Some(pages) = Pages::of(&site).await else { return };
        let body = format!(
            "{}<script>
               instant.onState((state) => console.log('state', state));
               instant.onError((error) => console.log('onError', error.message));
               instant.ready().catch((error) => console.log('not ready:', error.message));
             </script>",
            tag(&site.centrifugo.ws_url, "")
        );
        let page = pages.visit(&site, "", &body);
        page.line("console: state failed", SOON).await;
        page.line("console: onError not logged in (4501)", SOON).await;
        page.line("console: not ready: not logged in (4501)", SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_a_token_goes_on_as_a_visitor_after_the_log_out() {
    for site in Site::both(WATCH).await {
        let Some(pages) = Pages::of(&site).await else { return };
        let session = site.python("u = user('a'); c = login('a'); print(cookie(c))").await;
        // The socket is of another site than the script, so that no cookie goes along.
        let url = &site.centrifugo.ws_url;
        let body = format!(
            "<script src=\"http://localhost:8001/instant.js\" data-url=\"{url}\" data-token-url=\"http://localhost:8001/token\"></script>
             <script>instant.on('*', ({{ message, channel }}) => document.body.append(`${{channel}}/${{message}} `))</script>"
        );
        let page = pages.open(&site, &session, &body).await;
        create(&site, "A-1").await;
        page.line("users/news of A-1", SOON).await;
        site.python("c.post('/accounts/logout/')").await;
        page.line("gap: reconnect of public", SOON).await;
        create(&site, "A-2").await;
        page.line("public/Order A-2 is draft", SOON).await;
        assert!(!page.output().contains("news of A-2"), "{}", page.output());
    }
}
