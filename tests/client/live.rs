//! The live page in a real browser.

use super::page::{Pages, is_clean};
use super::rows::tag;
use crate::support::cache::{self, manifest};
use crate::support::process::Process;
use crate::support::site::Site;
use crate::support::wait::SOON;

const RULES: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'status']
[[watch.rule]]
target = 'public'
message = 'Order {{ row.number }}'
[[watch]]
model = 'shop.Tag'
fields = ['name']
[[watch.rule]]
channel = 'room:{{ row.name }}'
[[watch]]
model = 'shop.Country'
fields = ['name']
[[watch.rule]]
target = 'public'
message = '{{ row.name.nothing.here }}'
[channels.'room:{name}']
allow = 'users'
";

#[tokio::test(flavor = "multi_thread")]
async fn the_live_page_shows_filters_pauses_sends_retries_and_ends_with_the_session() {
    for site in Site::both(RULES).await {
        let Some(pages) = Pages::of(&site).await else { return };
        let session = site
            .python("u = user('boss', is_staff=True); c = login('boss'); print(cookie(c))")
            .await;
        let listener = pages.open(&site, &session, &tag(&site.centrifugo.ws_url, "")).await;
        let page = pages.live(&site, &session);
        page.line("live at /live", SOON).await;
        site.python("Order.objects.create(number='A-1'); Tag.objects.create(name='red')")
            .await;
        page.line("shown 2", SOON).await;
        page.line("filtered 1", SOON).await;
        page.line("paused", SOON).await;
        site.python("Order.objects.create(number='A-2')").await;
        page.line("went on", SOON).await;
        page.line("opened", SOON).await;
        page.line("sent to staff", SOON).await;
        site.python("Country.objects.create(code='x', name='Xanadu')").await;
        page.line("parked", SOON).await;
        page.line("refused again 1", SOON).await;
        let path = site.folder.path().join("instant.toml");
        let fixed = std::fs::read_to_string(&path).unwrap().replace(".nothing.here", "");
        std::fs::write(&path, fixed).unwrap();
        site.instant.signal("HUP").await;
        page.line("delivered", SOON).await;
        let connected = if site.has_proxies() {
            "1 connection, 1 user"
        } else {
            "users 1"
        };
        page.line(&format!("counted 4 classes; {connected}"), SOON).await;
        is_clean(&page);
        drop(listener);
        site.python("c.post('/accounts/logout/')").await;
        page.line("ended", SOON).await;
    }
}

impl Pages {
    /// Uses the live page as a person would. Screenshots are kept in the folder that `PICTURES` names.
    fn live(&self, site: &Site, session: &str) -> Process {
        let url = format!("{}/live", site.url.replace("127.0.0.1", "localhost"));
        let pictures = std::env::var("PICTURES").unwrap_or_default();
        let profile = self.profile();
        let arguments = [
            manifest("tests/client/live.mjs"),
            cache::path("browser"),
            self.chromium().to_owned(),
            profile,
        ];
        let mut arguments: Vec<&str> = arguments.iter().map(|path| path.to_str().unwrap()).collect();
        arguments.extend([&*url, session, &*pictures]);
        Process::new("node", &cache::path("browser"), &arguments, &[])
    }
}
