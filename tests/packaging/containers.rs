//! Containers, as far as they can be tested without an engine: the contents of the images and what runs in them.

use std::fs;
use std::net::IpAddr;

use reqwest::header::{COOKIE, HeaderMap, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use serde_json::json;
use tokio::process::Command;

use super::compose::{self, Compose};
use super::native::Native;
use crate::support::cache::{self, manifest};
use crate::support::centrifugo::Centrifugo;
use crate::support::document::in_language;
use crate::support::postgres;
use crate::support::process::instant;
use crate::support::site::Browser;
use crate::support::wait::{SOON, within};

/// A cookie that an answer sets.
fn cookie(headers: &HeaderMap, name: &str) -> String {
    let mut set = headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    let value = set.find_map(|cookie| cookie.strip_prefix(name)?.strip_prefix('='));
    let value = value.unwrap_or_else(|| panic!("no cookie {name} in {headers:?}"));
    value.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_compose_accepts_the_file_whose_own_values_are_those_of_the_example() {
    let with = async |values: &str| compose::run(&["--env-file", values, "config"], &[]).await.unwrap();
    assert_eq!(with("/dev/null").await, with(".env.example").await);
    let compose = Compose::read(8080).await;
    for (name, service) in compose.in_order() {
        assert!(compose.ends(name) != service.healthcheck.is_some(), "{name}");
        for (other, dependency) in &service.depends_on {
            let expected = if compose.ends(other) {
                "service_completed_successfully"
            } else {
                "service_healthy"
            };
            assert_eq!(dependency.condition, expected, "{name} waits for {other}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "what was not tried is named")]
async fn the_commands_of_the_containers_carry_a_saved_row_to_a_browser_behind_one_address() {
    let Some(native) = Native::start().await else {
        eprintln!("the containers' commands were not tried: nginx is missing, see `make setup`");
        return;
    };
    let url = format!("http://localhost:{}", native.front);
    let address = IpAddr::from([127, 0, 0, 2]);
    let http = reqwest::Client::builder().local_address(address);
    let http = http.redirect(Policy::none()).build().unwrap();
    let get = async |path: &str| http.get(format!("{url}{path}")).send().await.unwrap();

    let page = get("/").await.text().await.unwrap();
    assert!(page.contains(r#"<script src="/instant.js"></script>"#), "{page}");
    let script = get("/instant.js").await.text().await.unwrap();
    assert_eq!(script, fs::read_to_string(manifest("client/dist/instant.js")).unwrap());
    for inner in ["/metrics", "/readyz", "/api/publish", "/centrifugo/connect"] {
        assert_eq!(get(inner).await.status(), 404, "{inner}");
    }
    assert_eq!(get("/live").await.status(), 403);
    // Django's, which asks for the log-in.
    assert_eq!(get("/livefeed/").await.status(), 302);

    let csrf = cookie(get("/accounts/login/").await.headers(), "csrftoken");
    let post = async |path: &str, cookies: &str, csrf: &str, fields: &str| {
        let request = http.post(format!("{url}{path}")).header(COOKIE, cookies).header(ORIGIN, &url);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = request.header("X-CSRFToken", csrf).body(fields.to_owned());
        request.send().await.unwrap()
    };
    let visitor = format!("csrftoken={csrf}");
    let answer = post("/accounts/login/", &visitor, &csrf, "username=cleo&password=demo").await;
    assert_eq!(answer.status(), 302, "{answer:?}");
    let session = cookie(answer.headers(), "sessionid");
    let csrf = cookie(answer.headers(), "csrftoken");

    let server = Centrifugo::at(&url, "");
    let mut browser = Browser::of_page(&server, &url, &session, json!({})).await.unwrap();
    let own = browser.channels[0].clone();
    assert!(own.starts_with('#'), "{:?}", browser.channels);
    let cleo = format!("csrftoken={csrf}; sessionid={session}");
    let answer = post("/shop/buy/", &cleo, &csrf, "product=Teapot").await;
    assert_eq!(answer.status(), 204, "{answer:?}");
    let (channel, event) = browser.next().await.unwrap();
    assert_eq!(channel, own);
    assert_eq!(
        (&event["event_class"], &event["message"]),
        (&"Your order".into(), &"Your Teapot: placed".into())
    );

    // Each of these requests is a row, with the address that they come from, and no check of health has made one.
    let database = postgres::connect(&postgres::shared(18, &[]).await.url("demo")).await;
    let addresses = "select array_agg(distinct host(address)) from hits_hit";
    let addresses: Vec<String> = database.query_one(addresses, &[]).await.unwrap().get(0);
    assert_eq!(addresses, [address.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_about_containers_shows_is_accepted() {
    let block = |language| in_language("docs/how-to/docker.md", language).remove(0);
    let folder = tempfile::tempdir().unwrap();
    let [services, configuration] = ["compose.yml", "instant.toml"].map(|name| folder.path().join(name));
    fs::write(&services, block("yaml")).unwrap();
    fs::write(&configuration, block("toml")).unwrap();
    let secrets = [
        ("DATABASE_URL", "postgres://shop@postgres/shop"),
        ("CENTRIFUGO_API_KEY", "a key"),
        ("DJANGO_SECRET_KEY", "an$other"),
    ];
    fs::write(folder.path().join(".env"), "DJANGO_SECRET_KEY='an$other'\n").unwrap();
    let read = compose::run(&["-f", services.to_str().unwrap(), "config"], &secrets[..2])
        .await
        .unwrap();
    // So it writes a `$` that begins no variable.
    assert!(read.contains("DJANGO_SECRET_KEY: an$$other\n"), "{read}");
    let checked = instant(folder.path(), &["check"], &secrets).await;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dockerfiles_say_what_dockerfiles_can_say() {
    let linter = cache::path("dockerfile/node_modules/dockerfile-utils/bin/dockerfile-utils");
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("Dockerfile");
    fs::write(&wrong, "FORM debian\n").unwrap();
    for (file, is_good) in [
        (manifest("Dockerfile"), true),
        (manifest("demo/Dockerfile"), true),
        (wrong, false),
    ] {
        let mut node = Command::new("node");
        node.arg(&linter).arg("lint").arg(&file);
        let output = within(SOON, "the linter", node.output()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.success(), is_good, "{}: {said}", file.display());
    }
}

/// The sources of the `COPY` lines of a text, except those from other stages.
fn copied(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("COPY "));
    let lines = lines.filter(|line| !line.starts_with("--from"));
    lines.flat_map(|line| line.split(' ').rev().skip(1)).collect()
}

#[test]
fn the_image_is_built_from_every_file_that_the_binary_is_and_from_no_other_folder() {
    let dockerfile = fs::read_to_string(manifest("Dockerfile")).unwrap();
    let (builder, runtime) = dockerfile.split_once("\n\nFROM ").unwrap();
    let copied = copied(builder);
    let ignored = fs::read_to_string(manifest(".dockerignore")).unwrap();
    let sent: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert_eq!(ignored.lines().nth(1), Some("*"));
    let holds = |folders: &[&str], file: &str| {
        folders
            .iter()
            .any(|folder| file == *folder || file.starts_with(&format!("{folder}/")))
    };
    let mut read = super::sources();
    read.extend(["Cargo.toml".to_owned(), "Cargo.lock".to_owned()]);
    for file in &read {
        assert!(holds(&copied, file), "the Dockerfile does not copy {file}");
        assert!(holds(&sent, file), ".dockerignore keeps {file} back");
    }
    for folder in sent {
        let is_needed = read.iter().any(|file| holds(&[folder], file));
        assert!(is_needed, ".dockerignore lets {folder} pass, which nothing needs");
    }
    assert!(runtime.contains("\nUSER instant\n"), "{runtime}");
}

#[test]
fn the_images_have_the_versions_that_the_sources_ask_for() {
    let manifests = fs::read_to_string(manifest("Cargo.toml")).unwrap();
    let rust = manifests
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap();
    let dockerfile = fs::read_to_string(manifest("Dockerfile")).unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{}-slim", rust.trim_matches('"'))));
    let tested = fs::read_to_string(manifest("tests/project/requirements.txt")).unwrap();
    for package in fs::read_to_string(manifest("demo/requirements.txt")).unwrap().lines() {
        assert!(
            tested.lines().any(|line| line == package),
            "{package} is not what the tests use"
        );
    }
}
