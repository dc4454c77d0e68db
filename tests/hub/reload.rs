//! Reloading the file: what applies immediately, and what needs a restart.

use serde_json::json;

use super::letters::{OWN, REPLAY, RETRY, RULES};
use crate::support::django::Django;
use crate::support::process::{Process, instant};
use crate::support::site::{Browser, Site};
use crate::support::wait::{SOON, eventually};

impl Site {
    /// Has the process reload its file.
    async fn reload(&self) {
        self.instant.signal("HUP").await;
        self.instant.line("the rules were read again", SOON).await;
    }

    /// Runs a command, which must succeed; returns its output.
    async fn says(&self, command: &[&str]) -> String {
        let output = instant(self.folder.path(), command, &[]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{command:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_derived_from_djangos_change_with_it_at_a_reload_and_count_while_theirs_is_a_fallback() {
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
    connect(&former).await.unwrap();
    let said = site.says(RETRY).await;
    assert!(said.starts_with("sent: 1,"), "{said}");
    site.says(REPLAY).await;

    site.variant(
        OWN,
        OWN,
        "secret_key_fallbacks = ['a key for tests and demos']",
        "secret_key_fallbacks = []",
    );
    site.instant.signal("HUP").await;
    eventually(SOON, "the former key is forgotten", async || {
        (connect(&former).await.err() == Some(3500)).then_some(())
    })
    .await;
    connect(&site.says(&token).await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_key_is_changed_as_the_document_says_and_nobody_is_logged_out() {
    const OLD: &str = "a key for tests and demos";
    const CHANGE: &str = "from django.test import Client
def visit(session, key, *fallbacks):
    c = Client(SERVER_NAME='localhost')
    c.cookies['sessionid'] = session
    with override_settings(SECRET_KEY=key, SECRET_KEY_FALLBACKS=list(fallbacks)):
        return c.get('/whoami').status_code, cookie(c)
";
    let settings = |key: &str, fallback: &str| format!("secret_key = '{key}'\nsecret_key_fallbacks = ['{fallback}']");
    let mut site = Site::on_hub(18, RULES).await;
    site.variant(OWN, OWN, "api_key = 'an api key'\n", "");
    site.python(CHANGE).await;
    let cookie = site.python("user('a', is_staff=True); print(cookie(login('a')))").await;
    let restarted = async |site: &mut Site, theirs: &str, ours: &str| {
        site.variant(OWN, OWN, theirs, ours);
        site.instant.signal("TERM").await;
        site.instant.wait(SOON).await;
        site.instant = Process::instant(site.folder.path(), &["run"], &[]);
        site.instant.line("leading", SOON).await;
    };
    let users = async |site: &Site, cookie: &str| Browser::open(site, cookie).await.channels.contains(&"users".to_owned());
    restarted(&mut site, &settings(OLD, "an old key"), &settings(OLD, "the new key")).await;
    let mut open = Browser::open(&site, &cookie).await;
    assert!(open.channels.contains(&"users".to_owned()), "{:?}", open.channels);

    // Django has the new key, and gives the session another row at the user's next request.
    let moved = site
        .python(&format!("print(*visit('{cookie}', 'the new key', '{OLD}'))"))
        .await;
    let (status, next) = moved.split_once(' ').unwrap();
    assert!(status == "200" && next != cookie, "{moved}");
    assert_eq!(open.next().await, Err(4001), "its row is gone");
    assert!(users(&site, next).await && !users(&site, &cookie).await);

    let user = site.python("print(User.objects.get(username='a').pk)").await;
    let token = site.says(&["token", "--user", &user]).await;
    restarted(&mut site, &settings(OLD, "the new key"), &settings("the new key", OLD)).await;
    assert!(users(&site, next).await);
    Browser::try_open(&site, "", json!({ "token": token })).await.unwrap();
    restarted(&mut site, &settings("the new key", OLD), "secret_key = 'the new key'").await;
    assert!(users(&site, next).await);
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
