//! How a relay reports its health: HTTP answers, metrics, and messages to systemd.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio::net::UnixDatagram;

use super::{FAILING, Stack};
use crate::support::cache::manifest;
use crate::support::postgres::free_port;
use crate::support::process::Process;
use crate::support::proxy::{Mode, Proxy};
use crate::support::wait::{SOON, eventually, within};

/// A stack whose relay answers on this port.
pub(super) async fn answering(port: u16, more: &str) -> Stack {
    let server = format!("{more}[server]\nlisten = '127.0.0.1:{port}'\nready_lag = '1s'\n");
    // While a transaction is open in any database of a cluster, changes may not be announced.
    Stack::alone(15, &server).await
}

/// The status and the text of a page.
pub(super) async fn ask(port: u16, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("http://127.0.0.1:{port}{path}")).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn ready(port: u16) -> (u16, Value) {
    let (status, body) = ask(port, "/readyz").await;
    (status, serde_json::from_str(&body).unwrap())
}

/// Waits until a relay gives this answer.
async fn becomes(port: u16, status: u16, role: &str) {
    eventually(SOON, &format!("{status} from a relay that is {role}"), async || {
        let (found, body) = ready(port).await;
        (found == status && body["role"] == role).then_some(())
    })
    .await;
}

/// The samples: name and labels, and the value.
pub(super) async fn samples(port: u16) -> BTreeMap<String, f64> {
    let (status, text) = ask(port, "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_what_passed_what_was_parked_and_what_waits() {
    let port = free_port();
    let mut stack = answering(port, FAILING).await;
    let asleep = async |stack: &Stack| eventually(SOON, "the relay sleeps", async || stack.sleeps().await.then_some(())).await;
    asleep(&stack).await;
    stack
        .events("Country.objects.bulk_create([Country(code=str(i), name='') for i in range(5)])")
        .await;
    // Only what wakes the relay is announced, and not before it has read something.
    asleep(&stack).await;
    stack.events("Tag.objects.create(name='a')").await;
    stack.relay.line("parked: unknown channel", SOON).await;
    let samples = eventually(SOON, "a scrape with everything settled", async || {
        let samples = samples(port).await;
        let settled = samples["instant_dead_letters"] >= 2.0 && samples["instant_backlog_changes"] < 1.0;
        settled.then_some(samples)
    })
    .await;
    // Five countries, two markers that are saved and deleted, and a tag for whom one rule of three works.
    for (name, value) in [
        (r#"instant_publish_lag_seconds_count{model="shop.Country"}"#, 9.0),
        (r#"instant_publish_lag_seconds_count{model="shop.Tag"}"#, 1.0),
        (r#"instant_parked_total{model="shop.Tag"}"#, 2.0),
        ("instant_changes_total", 10.0),
        ("instant_window_changes_sum", 10.0),
        ("instant_leading", 1.0),
        ("instant_database_up", 1.0),
        ("instant_retries_total", 0.0),
        ("instant_reconnections_total", 0.0),
        ("instant_lost_changes_total", 0.0),
        ("instant_unsettled_lag_seconds", 0.0),
    ] {
        assert!((samples[name] - value).abs() < f64::EPSILON, "{name}: {samples:#?}");
    }
    for name in [
        "instant_dozes_total",
        "instant_notifications_total",
        "instant_announced_total",
        "instant_outbox_bytes",
        "instant_batch_publications_count",
    ] {
        assert!(samples[name] > 0.0, "{name}: {samples:#?}");
    }
    let lag = samples[r#"instant_publish_lag_seconds_sum{model="shop.Country"}"#];
    assert!(lag > 0.0 && lag < 9.0 * SOON.as_secs_f64(), "{lag}");
    // A scrape asks PostgreSQL, which may be away: the rest is told all the same.
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    let proxy = Proxy::to(&stack.django.database.url).await;
    let far = proxy.url(&stack.django.database.url);
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[("INSTANT_DATABASE_URL", &far)]);
    stack.relay.line("leading", SOON).await;
    proxy.set(Mode::Cut);
    becomes(port, 503, "reconnecting").await;
    let samples = self::samples(port).await;
    assert!(
        samples["instant_database_up"] < 1.0 && samples["instant_leading"] < 1.0,
        "{samples:#?}"
    );
    assert!(samples["instant_reconnections_total"] > 0.0, "{samples:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_are_those_of_the_document_and_the_dashboard_shows_no_other() {
    let port = free_port();
    let mut stack = answering(port, FAILING).await;
    stack.events("Tag.objects.create(name='a')").await;
    stack.relay.line("parked: unknown channel", SOON).await;
    let found: BTreeSet<String> = samples(port)
        .await
        .keys()
        .map(|sample| sample.split('{').next().unwrap().to_owned())
        .collect();
    let document = std::fs::read_to_string(manifest("docs/metrics.md")).unwrap();
    let documented: BTreeSet<String> = document
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("| `instant_")?.split_once("` | ")?;
            Some((name, rest.starts_with("histogram")))
        })
        .flat_map(|(name, is_histogram)| {
            let parts: &[&str] = if is_histogram { &["_bucket", "_count", "_sum"] } else { &[""] };
            parts.iter().map(move |part| format!("instant_{name}{part}"))
        })
        .collect();
    assert_eq!(found, documented);
    let dashboard = std::fs::read_to_string(manifest("contrib/grafana.json")).unwrap();
    let _: Value = serde_json::from_str(&dashboard).unwrap();
    for text in [&dashboard, &document] {
        let mut words = text.split(|character: char| !character.is_ascii_lowercase() && character != '_');
        assert!(words.all(|word| !word.starts_with("instant_") || found.contains(word) || {
            // The document names histograms as a whole.
            found.contains(&format!("{word}_sum"))
        }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_is_ready_while_it_leads_or_stands_by_and_not_while_it_lags_or_has_lost_postgresql() {
    let (first, second) = (free_port(), free_port());
    let mut stack = answering(first, "").await;
    becomes(first, 200, "leading").await;
    assert_eq!(ask(first, "/healthz").await, (200, "ok\n".to_owned()));
    let config = std::fs::read_to_string(stack.folder.path().join("instant.toml")).unwrap();
    let other = stack.folder.path().join("standby.toml");
    std::fs::write(&other, config.replace(&first.to_string(), &second.to_string())).unwrap();
    let proxy = Proxy::to(&stack.django.database.url).await;
    let far = proxy.url(&stack.django.database.url);
    let arguments = ["--config", other.to_str().unwrap(), "run"];
    let standby = Process::instant(stack.folder.path(), &arguments, &[("INSTANT_DATABASE_URL", &far)]);
    standby.line("standby", SOON).await;
    becomes(second, 200, "standby").await;

    stack.centrifugo.stop().await;
    stack.django.run("Country.objects.create(code='a', name='')").await;
    becomes(first, 503, "leading").await;
    let leads = async |port| ask(port, "/readyz?leading").await.0;
    assert_eq!((leads(first).await, leads(second).await), (200, 503), "nobody else leads");
    let (_, body) = ready(first).await;
    assert!(body["lag_seconds"].as_f64().unwrap() >= 1.0, "{body}");
    stack.centrifugo.start().await;
    becomes(first, 200, "leading").await;

    stack.relay.signal("KILL").await;
    becomes(second, 200, "leading").await;
    proxy.set(Mode::Cut);
    becomes(second, 503, "reconnecting").await;
    assert_eq!(leads(second).await, 503);
    proxy.set(Mode::Pass);
    becomes(second, 200, "leading").await;
    // Not before there is a relay at all.
    stack.relay.wait(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_says_by_its_exit_code_what_the_process_on_this_machine_says_of_itself() {
    let port = free_port();
    let mut stack = answering(port, "").await;
    becomes(port, 200, "leading").await;
    let said = stack.command(&["status", "--ready"], 0).await;
    assert!(said.contains(r#""role":"leading""#), "{said}");
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    let said = stack.command(&["status", "--ready"], 1).await;
    assert!(
        said.starts_with("error: `instant run` does not answer on this machine: "),
        "{said}"
    );
    let proxy = Proxy::to(&stack.django.database.url).await;
    let far = proxy.url(&stack.django.database.url);
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[("INSTANT_DATABASE_URL", &far)]);
    stack.relay.line("leading", SOON).await;
    proxy.set(Mode::Cut);
    becomes(port, 503, "reconnecting").await;
    let said = stack.command(&["status", "--ready"], 3).await;
    assert!(said.contains(r#""role":"reconnecting""#), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_that_the_relay_is_ready_lives_and_stops() {
    let mut stack = Stack::start(15, "").await;
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    let path = stack.folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let hears = async |wanted: &str| {
        within(SOON, wanted, async {
            let mut buffer = [0; 256];
            loop {
                let length = socket.recv(&mut buffer).await.unwrap();
                let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if said.lines().any(|line| line == wanted) {
                    return;
                }
                // It lives from the start on, and is ready only when it leads.
                assert!(said != "READY=1\n" || wanted == "READY=1", "{said}");
            }
        })
        .await;
    };
    stack.relay = Process::instant(stack.folder.path(), &["run"], &environment);
    hears("READY=1").await;
    hears("STATUS=leading").await;
    hears("WATCHDOG=1").await;
    hears("WATCHDOG=1").await;
    stack.relay.signal("TERM").await;
    hears("STOPPING=1").await;
    assert!(stack.relay.wait(SOON).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unit_runs_this_binary_on_this_configuration() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("instant.toml"), "[database]\nurl = 'postgres://a'\n").unwrap();
    let output = crate::support::process::instant(folder.path(), &["gen", "systemd"], &[]).await;
    let unit = String::from_utf8(output.stdout).unwrap();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words: Vec<&str> = start.split(' ').collect();
    assert!(std::path::Path::new(words[0]).is_file(), "{start}");
    let named = std::path::Path::new(words[2]).canonicalize().unwrap();
    assert_eq!(named, folder.path().join("instant.toml").canonicalize().unwrap());
    assert_eq!(json!(words[3..]), json!(["run", "--log", "json"]));
}
