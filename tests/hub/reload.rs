//! A file that is read again: what counts at once, and what waits for a restart.

use serde_json::json;

use super::letters::{OWN, REPLAY, RETRY, RULES};
use crate::support::django::Django;
use crate::support::process::{Process, instant};
use crate::support::site::{Browser, Site};
use crate::support::wait::SOON;

impl Site {
    /// Has the process read its file again.
    async fn reload(&self) {
        self.instant.signal("HUP").await;
        self.instant.line("the rules were read again", SOON).await;
    }

    /// What a command prints that succeeds.
    async fn says(&self, command: &[&str]) -> String {
        let output = instant(self.folder.path(), command, &[]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{command:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_derived_from_djangos_change_with_it_at_a_reload() {
    let mut site = Site::on_hub(18, RULES).await;
    let cookie = site.new_user("a").await;
    let user = site.python("print(User.objects.get(username='a').pk)").await;
    site.variant(OWN, OWN, "api_key = 'an api key'\n", "");
    site.instant.signal("TERM").await;
    site.instant.wait(SOON).await;
    site.instant = Process::instant(site.folder.path(), &["run"], &[]);
    site.instant.line("leading", SOON).await;
    site.python("Country.objects.create(code='x', name='Xanadu')").await;
    site.letters(1).await;
    let token = ["token", "--user", &user];
    let former = site.says(&token).await;
    let connect = async |token: &str| Browser::try_open(&site, "", json!({ "token": token })).await;
    connect(&former).await.unwrap();

    site.variant(OWN, OWN, ".nothing.here", "");
    let keys = "secret_key_fallbacks = ['an old key']";
    site.variant(OWN, OWN, keys, "secret_key_fallbacks = ['a key for tests and demos']");
    site.variant(
        OWN,
        OWN,
        "secret_key = 'a key for tests and demos'",
        "secret_key = 'another key'",
    );
    site.reload().await;
    let browser = Browser::open(&site, &cookie).await;
    assert!(browser.channels.contains(&"users".to_owned()), "{:?}", browser.channels);
    connect(&site.says(&token).await).await.unwrap();
    assert_eq!(connect(&former).await.err(), Some(3500), "it was signed with the former key");
    let said = site.says(RETRY).await;
    assert!(said.starts_with("sent: 1,"), "{said}");
    site.says(REPLAY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_leaves_the_database_and_the_hubs_own_keys_as_they_were() {
    let room = "[channels.'room:{name}']\nallow = 'select 1 from shop_country where code = $name'\n";
    let site = Site::on_hub(18, &format!("{RULES}{room}")).await;
    let cookie = site.new_user("a").await;
    site.python("Country.objects.create(code='x', name='Xanadu')").await;
    let elsewhere = Django::on(18).await;
    site.variant(OWN, OWN, &site.django.database.url, &elsewhere.database.url);
    site.variant(OWN, OWN, "an api key", "another api key");
    // A rule for a column that is in the database of the relay alone.
    elsewhere
        .run("from django.db import connection; connection.cursor().execute('alter table shop_country drop name')")
        .await;
    site.reload().await;

    let mut browser = Browser::open(&site, &cookie).await;
    assert!(browser.channels.contains(&"users".to_owned()), "{:?}", browser.channels);
    assert_eq!(browser.subscribe("room:x").await, Ok(()));
    site.centrifugo.publish("room:x", &json!("heard")).await;
    assert_eq!(browser.next().await, Ok(("room:x".to_owned(), json!("heard"))));
}
