//! The limit: Instant's publications of a backlog, in ready-made requests, sent with no other work to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Moment};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::instant::{Instant, To};
use super::{API_KEY, LANES, Running, centrifugo};
use crate::ground::Ground;
use crate::meter;
use crate::support::postgres::{Database, free_port};
use crate::support::wait::{SOON, eventually};

/// The publications of a request: the maximum that the relay puts into one.
const BATCH: usize = 200;

/// The beginning of a request, and the separator of its commands.
const HEAD: &str = "{\"commands\":[";
const PUBLISH: &str = "{\"publish\":{\"channel\":\"";

/// The request bodies of each lane.
pub(crate) struct Limit {
    lanes: Vec<Vec<String>>,
    publications: u64,
    /// The size of a publication, with its channel and its key.
    pub(crate) bytes: usize,
}

/// The cost of a replay.
pub(crate) struct Replayed {
    pub(crate) seconds: f64,
    pub(crate) server: Duration,
}

impl Limit {
    /// Records the publications that Instant sends for a backlog of `changes`, and packs them into requests that are as full as possible;
    /// those of a channel go to one lane, in order.
    pub(crate) async fn record(database: &Database, rules: &str, changes: u64) -> Self {
        let wanted = usize::try_from(changes).unwrap();
        let recorder = Recorder::default();
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let router = Router::new().route("/api/batch", post(take)).with_state(recorder.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let mut relay = Instant::new(database, To::Port(port), rules).run().await;
        eventually(SOON * 10, "every publication", async || {
            (recorder.publications.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
        relay.signal("TERM").await;
        relay.wait(SOON).await;
        serving.abort();
        let mut lanes = vec![Vec::new(); LANES];
        for body in recorder.bodies.lock().iter() {
            let commands = body.strip_prefix(HEAD).and_then(|rest| rest.strip_suffix("]}")).unwrap();
            for command in commands.split(PUBLISH).skip(1) {
                let channel = &command[..command.find('"').unwrap()];
                let lane = channel.bytes().map(usize::from).sum::<usize>() % LANES;
                lanes[lane].push(command.trim_end_matches(',').to_owned());
            }
        }
        let bytes = lanes.iter().flatten().map(String::len).sum::<usize>() / wanted;
        let body = |commands: &[String]| format!("{HEAD}{PUBLISH}{}]}}", commands.join(&format!(",{PUBLISH}")));
        let lanes = lanes.iter().map(|lane| lane.chunks(BATCH).map(body).collect()).collect();
        Self {
            lanes,
            publications: changes,
            bytes,
        }
    }

    /// Sends everything to a Centrifugo that has just been started, one request after the other on each lane.
    pub(crate) async fn replay(&self, ground: &Ground) -> Replayed {
        let running = server().await;
        let http = reqwest::Client::new();
        let mut tasks = JoinSet::new();
        let lanes = self.lanes.clone();
        let before = meter::cpu(running.server.id());
        let started = Moment::now();
        for lane in lanes {
            let (http, url) = (http.clone(), format!("{}/api/batch", running.server.url));
            tasks.spawn(async move {
                for body in lane {
                    let request = http.post(&url).header("X-API-Key", API_KEY).body(body);
                    request
                        .send()
                        .await
                        .unwrap()
                        .error_for_status()
                        .unwrap()
                        .bytes()
                        .await
                        .unwrap();
                }
            });
        }
        tasks.join_all().await;
        let replayed = Replayed {
            seconds: started.elapsed().as_secs_f64(),
            server: meter::cpu(running.server.id()).saturating_sub(before),
        };
        // A batch is answered with 200 whatever the results of its commands.
        assert_eq!(
            running.published(ground).await,
            self.publications,
            "publications that Centrifugo has accepted"
        );
        running.stop().await;
        replayed
    }
}

/// Only Centrifugo, for contestants that publish by themselves.
pub(crate) async fn server() -> Running {
    Running::at(centrifugo(free_port(), json!({})).await)
}

/// Accepts batches as Centrifugo would.
#[derive(Clone, Default)]
struct Recorder {
    bodies: Arc<Mutex<Vec<String>>>,
    publications: Arc<AtomicUsize>,
}

async fn take(State(recorder): State<Recorder>, body: String) -> String {
    let count = body.matches(PUBLISH).count();
    let replies = vec!["{\"publish\":{}}"; count].join(",");
    recorder.bodies.lock().push(body);
    recorder.publications.fetch_add(count, Ordering::Relaxed);
    format!("{{\"replies\":[{replies}]}}")
}
