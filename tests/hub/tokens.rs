//! Tokens that expire, with the official clients: each server asks for another one in the same way.

use secrecy::ExposeSecret;
use serde_json::Value;

use crate::support::cache;
use crate::support::centrifugo::Centrifugo;
use crate::support::process::{Process, instant};
use crate::support::site::{ORIGIN, Site};
use crate::support::wait::SOON;

const ROOM: &str = "
[channels.'room:{id}']
allow = 'users'
history = { size = 5, ttl = '1m' }
";

/// Centrifugo, which here expects clients to send another token, and the hub, each with the key of tokens.
async fn both() -> [(Site, String); 2] {
    let [mut site, hub] = Site::both(ROOM).await;
    let made = instant(site.folder.path(), &["gen", "centrifugo"], &[]).await;
    let mut made: Value = serde_json::from_slice(&made.stdout).unwrap();
    made["client"]["proxy"]["refresh"]["enabled"] = false.into();
    site.centrifugo.stop().await;
    site.centrifugo = Centrifugo::configured(&made).await;
    for site in [&site, &hub] {
        site.new_user("a").await;
    }
    [site, hub].map(|site| {
        let (config, _) = ::instant::config::load(&site.folder.path().join("instant.toml")).unwrap();
        let secret = ::instant::access::token::secret(&config).unwrap();
        let secret = secret.expose_secret().to_owned();
        (site, secret)
    })
}

/// A program's output against either server, which must be the same.
async fn said(program: &std::path::Path, script: &str, options: &[&str]) -> String {
    let folder = cache::path("client/node_modules");
    let mut said = Vec::new();
    for (site, secret) in &both().await {
        let script = cache::manifest(script);
        let arguments = [&[script.to_str().unwrap(), &*site.centrifugo.ws_url, secret], options].concat();
        let environment = [("CLIENT_FOLDER", folder.to_str().unwrap())];
        let mut client = Process::new(program, site.folder.path(), &arguments, &environment);
        let ended = client.wait(SOON * 3).await;
        assert!(ended.success(), "{}\n{}", site.centrifugo.url, client.output());
        said.push(client.output());
    }
    assert_eq!(said[0], said[1], "Centrifugo left, the hub right");
    said.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_and_a_subscription_go_on_with_another_token_and_end_without_one() {
    let said = said("node".as_ref(), "tests/hub/tokens.mjs", &[ORIGIN]).await;
    for line in [
        "interruptions 0",
        "subscribed still \"subscribed\"",
        "an ended token 109",
        "nobody 1",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_brings_another_token_in_time_too() {
    let said = said(&cache::path("python/bin/python"), "tests/hub/tokens.py", &[]).await;
    assert!(said.contains("connecting 1"), "{said}");
}
