//! What `make demo` runs.

use std::fs;
use std::path::PathBuf;

use tokio::process::Command;

use crate::support::cache::{self, manifest};
use crate::support::postgres::free_port;
use crate::support::process::Process;
use crate::support::wait::SOON;

/// The database of the user's own project, whose URL is in the environment. Nothing listens there.
const ANOTHER: &str = "postgres://nobody@127.0.0.1:1/project";

/// A running demo on ports of its own.
pub(super) struct Demo {
    pub(super) process: Process,
    pub(super) url: String,
    ports: [u16; 3],
}

impl Demo {
    /// Starts the demo on a temporary database, with the hub and without traffic unless these variables say otherwise.
    pub(super) async fn start(variables: &[(&str, &str)]) -> Self {
        let ports = [free_port(), free_port(), free_port()];
        let process = run(ports, variables);
        process.line("Ctrl-C ends it", SOON * 4).await;
        let url = format!("http://localhost:{}", ports[0]);
        Self { process, url, ports }
    }

    /// Ends it with a signal: `INT` is sent by Ctrl-C, `HUP` by a terminal that is closed.
    pub(super) async fn end(mut self, signal: &str) {
        let folder = self.process.line("tail -f", SOON).await;
        let log = PathBuf::from(folder.rsplit_once(' ').unwrap().1);
        assert!(log.exists(), "{}", log.display());
        self.process.signal(signal).await;
        let status = self.process.wait(SOON * 2).await;
        assert!(status.success(), "{status}: {}", self.process.output());
        self.process.line("demo: done", SOON).await;
        assert!(!log.parent().unwrap().exists(), "{} is left", log.display());
        for port in self.ports {
            let is_open = std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
            assert!(!is_open, "something listens on port {port}");
        }
    }
}

fn run(ports: [u16; 3], variables: &[(&str, &str)]) -> Process {
    let python = cache::path("python/bin/python");
    let script = manifest("demo/run");
    let cache = cache::path("python").parent().unwrap().to_owned();
    // Under `nohup` these tests would hand on that a closed terminal means nothing.
    let arguments = [
        "--default-signal=HUP",
        python.to_str().unwrap(),
        script.to_str().unwrap(),
        cache.to_str().unwrap(),
        env!("CARGO_BIN_EXE_instant"),
    ];
    let [own, instant, centrifugo] = ports.map(|port| port.to_string());
    let mut environment = vec![
        ("PORT", &*own),
        ("INSTANT_PORT", &*instant),
        ("CENTRIFUGO_PORT", &*centrifugo),
        ("DATABASE_URL", ANOTHER),
        ("INSTANT_DATABASE_URL", ANOTHER),
        ("DEMO_DATABASE_URL", ""),
        ("CENTRIFUGO", "0"),
        ("TRAFFIC", "0"),
    ];
    environment.extend(variables);
    Process::new("env", &manifest("demo"), &arguments, &environment)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_starts_with_a_database_of_its_own_serves_its_front_page_and_leaves_nothing_after_ctrl_c() {
    let demo = Demo::start(&[]).await;
    let page = reqwest::get(&demo.url).await.unwrap().error_for_status().unwrap();
    assert_eq!(page.headers()["x-frame-options"], "DENY");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    let page = page.text().await.unwrap();
    for app in ["Shop", "Chat", "Feeds", "Presence", "Live feed", "Hits"] {
        assert!(page.contains(&format!("<h2>{app}</h2>")), "no tile for {app}: {page}");
    }
    assert_eq!(page.matches("instant.js").count(), 1, "{page}");
    // PostgreSQL cannot hold this character.
    assert_eq!(reqwest::get(format!("{}/%00", demo.url)).await.unwrap().status(), 404);
    demo.end("INT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_goes_on_without_its_traffic_and_leaves_nothing_when_its_terminal_is_closed() {
    let demo = Demo::start(&[("TRAFFIC", "1")]).await;
    let traffic = find(&format!("traffic\0http://127.0.0.1:{}\0", demo.ports[0]));
    let killed = Command::new("kill").args(["-s", "KILL", &traffic]).status().await.unwrap();
    assert!(killed.success());
    demo.process.line("traffic has ended", SOON).await;
    reqwest::get(&demo.url).await.unwrap().error_for_status().unwrap();
    demo.end("HUP").await;
}

/// The id of the process whose command line has this ending.
fn find(words: &str) -> String {
    let mut processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| fs::read_to_string(path.join("cmdline")).is_ok_and(|line| line.ends_with(words));
    let found = processes.find(is_it).unwrap();
    found.file_name().unwrap().to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_told_before_anything_starts() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut process = run([free_port(), port, free_port()], &[]);
    assert!(!process.wait(SOON).await.success());
    let told = process.line("is taken", SOON).await;
    assert!(
        told.contains(&format!("port {port}")) && told.contains("INSTANT_PORT="),
        "{told}"
    );
    assert!(!process.output().contains("PostgreSQL"), "{}", process.output());
}
