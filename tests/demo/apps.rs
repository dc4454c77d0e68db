//! Each app in real browsers: a user acts in one, and others see it in theirs.

use super::script::Demo;
use crate::client::page::{chromium, is_clean};
use crate::support::cache::{self, manifest};
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::wait::SOON;

const APPS: [&str; 6] = ["shop", "chat", "livefeed", "presence", "hits", "feeds"];

#[tokio::test(flavor = "multi_thread")]
async fn what_one_person_does_in_any_app_others_see_through_the_hub() {
    act_and_see(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_person_does_in_any_app_others_see_through_centrifugo() {
    act_and_see(true).await;
}

/// Uses every app. Screenshots are kept in the folder that `PICTURES` names.
async fn act_and_see(has_centrifugo: bool) {
    let Some(chromium) = chromium() else { return };
    let database = postgres::shared(18, &[]).await.database().await;
    let centrifugo = if has_centrifugo { "1" } else { "0" };
    let demo = Demo::start(&[("DEMO_DATABASE_URL", &database.url), ("CENTRIFUGO", centrifugo)]).await;
    let pictures = std::env::var("PICTURES").unwrap_or_default();
    let [script, packages, python, project] = [
        manifest("tests/demo/apps.mjs"),
        cache::path("browser"),
        cache::path("python/bin/python"),
        manifest("demo"),
    ]
    .map(|path| path.to_str().unwrap().to_owned());
    let chromium = chromium.to_str().unwrap();
    let arguments = [&*script, &*packages, chromium, &*demo.url, &*python, &*project, &*pictures];
    let environment = [("DATABASE_URL", &*database.url), ("PYTHONDONTWRITEBYTECODE", "1")];
    let mut people = Process::new("node", &manifest("demo"), &arguments, &environment);
    for app in APPS {
        people.line(&format!("seen: {app}"), SOON * 5).await;
    }
    people.line("all seen", SOON).await;
    assert!(people.wait(SOON).await.success());
    is_clean(&people);
    demo.end("INT").await;
}
