//! The hub compared with Centrifugo: publications, deliveries, latency, and memory per connection.

#![expect(clippy::cast_precision_loss, reason = "figures of a benchmark have few digits")]

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::contestant::LANES;
use crate::figures::{Series, number, percentile};
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::{Scale, told, turns};
use crate::support::centrifugo::Centrifugo;
use crate::support::crowd::{Crowd, batch, post};
use crate::support::site::Site;
use crate::support::wait::{SOON, eventually};

/// Figures of one server.
#[derive(Debug, Default)]
struct Figures {
    publications: f64,
    deliveries: Vec<f64>,
    /// The 50th and the 99th percentile, in milliseconds.
    latencies: Vec<[f64; 2]>,
}

/// The number of subscribers of a channel.
const CROWDS: [usize; 2] = [500, 5000];
/// The number of batches, and the publications in each, as many as in the relay's.
const BATCHES: usize = 2_000;
const SIZE: usize = 200;
/// One in this many deliveries is paced, so that its latency can be measured.
const PACED: usize = 4;
/// The number of channels without subscribers.
const CHANNELS: usize = 100;

async fn turn(site: &Site, scale: &Scale) -> Figures {
    let server = &site.centrifugo;
    // Centrifugo closes connections that are idle for longer.
    let http = reqwest::Client::builder()
        .pool_idle_timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let mut figures = Figures::default();
    // Without subscribers: batches into a hundred channels.
    let started = Instant::now();
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let (http, url, key) = (http.clone(), server.url.clone(), server.api_key.clone());
        lanes.spawn(async move {
            let server = Centrifugo::at(&url, &key);
            for _ in 0..BATCHES / LANES {
                post(
                    &http,
                    &server,
                    batch(SIZE, |number| format!("channel-{}", (lane + number * LANES) % CHANNELS)),
                )
                .await;
            }
        });
    }
    lanes.join_all().await;
    figures.publications = (BATCHES * SIZE) as f64 / started.elapsed().as_secs_f64();

    for size in CROWDS {
        let mut crowd = Crowd::gather(server, size).await;
        let publications = scale.deliveries / size;
        let started = Instant::now();
        for _ in 0..publications / 20 {
            post(&http, server, batch(20, |_| "public".to_owned())).await;
        }
        crowd.heard((publications * size) as u64).await;
        figures
            .deliveries
            .push((publications * size) as f64 / started.elapsed().as_secs_f64());
        while crowd.latencies.try_recv().is_ok() {}

        // Below its capacity: 20,000 deliveries per second.
        let pause = Duration::from_secs_f64(size as f64 / 20_000.0);
        let mut ticks = tokio::time::interval(pause);
        let wanted = scale.deliveries / PACED / size;
        for _ in 0..wanted {
            ticks.tick().await;
            post(&http, server, batch(1, |_| "public".to_owned())).await;
        }
        crowd.heard(((publications + wanted) * size) as u64).await;
        let latencies = std::iter::from_fn(|| crowd.latencies.try_recv().ok());
        let mut latencies: Vec<f64> = latencies.map(|micros| micros as f64 / 1_000.0).collect();
        latencies.sort_by(f64::total_cmp);
        figures.latencies.push([50, 99].map(|share| percentile(&latencies, share)));
        drop(crowd);
        deserted(server).await;
    }
    figures
}

/// Bytes per connection, for many idle connections to a server that has just been started.
async fn connection(site: &Site) -> f64 {
    let memory = || {
        if site.has_proxies() {
            site.centrifugo.memory()
        } else {
            site.instant.memory()
        }
    };
    let before = memory();
    let crowd = Crowd::gather(&site.centrifugo, CROWDS[1]).await;
    let bytes = (memory() - before) as f64 / CROWDS[1] as f64;
    drop(crowd);
    deserted(&site.centrifugo).await;
    bytes
}

/// Waits until no client is connected any more.
async fn deserted(server: &Centrifugo) {
    eventually(SOON, "the end of every connection", async || {
        let info = server.call("info", &json!({})).await;
        (info["result"]["nodes"][0]["num_clients"].as_u64().unwrap_or_default() == 0).then_some(())
    })
    .await;
}

/// One figure of both servers, over the rounds.
struct Row {
    name: String,
    series: [Series; 2],
}

pub(crate) async fn measure(scale: &Scale) -> Section {
    let [centrifugo, hub] = Site::both("").await;
    let memory = [connection(&centrifugo).await, connection(&hub).await].map(|bytes| Series::from(bytes / 1_000.0));
    let mut rows: Vec<Row> = names()
        .map(|name| Row {
            name,
            series: Default::default(),
        })
        .collect();
    for round in 0..scale.rounds {
        for at in turns(2, round) {
            let site = [&centrifugo, &hub][at];
            for (row, figure) in rows.iter_mut().zip(turn(site, scale).await.list()) {
                row.series[at].push(figure);
            }
        }
    }
    rows.push(Row {
        name: "memory of an idle connection, kB".to_owned(),
        series: memory,
    });
    let mut table = Table::new(["", "Centrifugo", "hub", "hub / Centrifugo"]);
    let mut goals = Vec::new();
    for Row {
        name,
        series: [theirs, ours],
    } in rows
    {
        let ratio = ours.over(&theirs);
        table.row([name.clone(), theirs.to_string(), ours.to_string(), ratio.to_string()]);
        let bound = match name.as_str() {
            name if name.starts_with("memory") => Bound::AtMost(0.5),
            name if name.starts_with("latency") => Bound::AtMost(1.0),
            _ => Bound::AtLeast(1.0),
        };
        let unit = name.rfind(", ").filter(|_| name.ends_with("ms") || name.ends_with("kB"));
        goals.push(Goal::new(
            format!("hub, {}, vs. Centrifugo", &name[..unit.unwrap_or(name.len())]),
            bound,
            " ×",
            ratio,
        ));
    }
    Section {
        name: "hub",
        title: "The hub",
        how: format!(
            "Both serve the same Django site, and the same program publishes and subscribes. {} publications go through the HTTP API over {LANES} \
             lanes, into {CHANNELS} channels without subscribers. Deliveries are those to all subscribers of one channel, {} per round; latency \
             is from sending a publication to reading it, for {} deliveries at 20,000 per second. {}",
            number((BATCHES * SIZE) as f64),
            number(scale.deliveries as f64),
            number((scale.deliveries / PACED) as f64),
            told(scale.rounds)
        ),
        tables: vec![table],
        goals,
    }
}

/// The names of the figures in [`Figures::list`].
fn names() -> impl Iterator<Item = String> {
    let of_crowd = |size| {
        [
            format!("deliveries/s, {size} subscribers"),
            format!("latency p50, {size} subscribers, ms"),
            format!("latency p99, {size} subscribers, ms"),
        ]
    };
    ["publications/s, 100 channels".to_owned()]
        .into_iter()
        .chain(CROWDS.into_iter().flat_map(of_crowd))
}

impl Figures {
    fn list(&self) -> Vec<f64> {
        let mut list = vec![self.publications];
        for (deliveries, [p50, p99]) in self.deliveries.iter().zip(&self.latencies) {
            list.extend([*deliveries, *p50, *p99]);
        }
        list
    }
}
