//! The official clients: in JavaScript, as browsers have it, and in Python.

use crate::support::cache;
use crate::support::process::Process;
use crate::support::site::{ORIGIN, Site};
use crate::support::wait::SOON;

const ROOM: &str = "
[channels.'room:{id}']
allow = 'users'
history = { size = 5, ttl = '1m' }
presence = true
publish = 'users'
";

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_sees_no_difference_between_centrifugo_and_the_hub() {
    let mut both = Vec::new();
    for site in Site::both(ROOM).await {
        let cookie = site.new_user("a").await;
        let (script, folder) = (cache::manifest("tests/hub/client.mjs"), cache::path("client/node_modules"));
        let arguments = [
            script.to_str().unwrap(),
            &site.centrifugo.ws_url,
            &site.centrifugo.url,
            &cookie,
            ORIGIN,
        ];
        let environment = [("CLIENT_FOLDER", folder.to_str().unwrap()), ("INSTANT", &site.url)];
        let mut node = Process::new("node", site.folder.path(), &arguments, &environment);
        let ended = node.wait(SOON * 3).await;
        assert!(ended.success(), "{}\n{}", site.centrifugo.url, node.output());
        node.line("a forged token 3500", SOON).await;
        both.push(node.output());
    }
    assert_eq!(both[0], both[1], "Centrifugo left, the hub right");
    assert!(both[0].contains(
        r#"recovered {"recovered":true,"was":true,"publications":[[{"number":2},2],[{"number":3},3],[{"number":4},4]]}"#
    ));
    assert!(
        both[0].contains(r#"gap {"recovered":false,"was":true,"offset":14,"publications":4}"#),
        "{}",
        both[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_client_sees_no_difference_either() {
    let mut both = Vec::new();
    for site in Site::both(ROOM).await {
        let cookie = site.new_user("a").await;
        let script = cache::manifest("tests/hub/client.py");
        let arguments = [
            script.to_str().unwrap(),
            &site.centrifugo.ws_url,
            &site.centrifugo.url,
            &site.url,
            &cookie,
            ORIGIN,
        ];
        let mut python = Process::new(cache::path("python/bin/python"), site.folder.path(), &arguments, &[]);
        let ended = python.wait(SOON * 3).await;
        assert!(ended.success(), "{}\n{}", site.centrifugo.url, python.output());
        both.push(python.output());
    }
    assert_eq!(both[0], both[1], "Centrifugo left, the hub right");
    for line in [
        r##"server-side [["#1", "public", "users"], "public", {"hello": 1}]"##,
        r#"recovered [true, true, [[{"number": 2}, 2], [{"number": 3}, 3]]]"#,
        "gap [false, true, 13]",
        "a forged token 3500",
    ] {
        assert!(both[0].contains(line), "{line} in {}", both[0]);
    }
}
