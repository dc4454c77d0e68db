//! Thousands of connections: what they cost, and how fast they hear.

#![expect(clippy::cast_precision_loss, reason = "figures of a benchmark have few digits")]

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::support::centrifugo::Centrifugo;
use crate::support::site::{ORIGIN, Site};
use crate::support::wait::{SOON, eventually};

/// Connections that come up at once.
const AT_ONCE: usize = 200;
/// Every how many listeners one measures how long a publication took.
const SAMPLE: usize = 20;
/// Stands once in each publication, before the time in microseconds and a blank.
const MARK: u8 = b'~';

/// Listeners of the channel `public`, as light as they can be: they share two cores with the server.
struct Crowd {
    heard: Arc<AtomicU64>,
    latencies: UnboundedReceiver<u64>,
    _listeners: JoinSet<()>,
}

impl Crowd {
    async fn gather(server: &Centrifugo, size: usize) -> Self {
        let heard = Arc::new(AtomicU64::new(0));
        let (sender, latencies) = unbounded_channel();
        let mut listeners = JoinSet::new();
        let address = server.url.trim_start_matches("http://");
        for start in (0..size).step_by(AT_ONCE) {
            let opened = (start..size.min(start + AT_ONCE)).map(|number| async move { (number, open(address).await) });
            for (number, socket) in futures_util::future::join_all(opened).await {
                let sample = (number % SAMPLE == 0).then(|| sender.clone());
                listeners.spawn(listen(socket, Arc::clone(&heard), sample));
            }
        }
        Self {
            heard,
            latencies,
            _listeners: listeners,
        }
    }

    /// Waits until all of them together have heard this many.
    async fn heard(&self, wanted: u64) {
        eventually(SOON * 6, "every delivery", async || {
            (self.heard.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
    }
}

/// A WebSocket with a connected client behind it.
async fn open(address: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let connect = br#"{"id":1,"connect":{}}"#;
    let request = format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: {address}\r\nOrigin: {ORIGIN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut socket, b"\r\n\r\n").await;
    socket.write_all(&frame(connect)).await.unwrap();
    read_until(&mut socket, b"\"pong\":true}").await;
    socket
}

async fn read_until(socket: &mut TcpStream, end: &[u8]) {
    let mut text = Vec::new();
    while !text.windows(end.len()).any(|window| window == end) {
        assert_ne!(
            socket.read_buf(&mut text).await.unwrap(),
            0,
            "{}",
            String::from_utf8_lossy(&text)
        );
    }
}

/// A text frame of a client, under a mask that changes nothing.
fn frame(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text].concat()
}

/// Counts what comes, and answers pings.
async fn listen(mut socket: TcpStream, heard: Arc<AtomicU64>, sample: Option<UnboundedSender<u64>>) {
    let mut buffer = vec![0; 8192];
    let mut times = Times::default();
    while let Ok(length @ 1..) = socket.read(&mut buffer).await {
        let bytes = &buffer[..length];
        let mut count = 0;
        for time in bytes.iter().filter_map(|byte| times.read(*byte)) {
            count += 1;
            if let Some(sample) = &sample {
                let _ = sample.send(micros().saturating_sub(time));
            }
        }
        if bytes.windows(4).any(|window| window == b"\x81\x02{}") && socket.write_all(&frame(b"{}")).await.is_err() {
            return;
        }
        heard.fetch_add(count, Ordering::Relaxed);
    }
}

/// Finds the times in what is read, byte by byte: a mark, sixteen digits and a blank. A frame's length may look like a mark.
#[derive(Default)]
struct Times {
    number: u64,
    digits: Option<u32>,
}

impl Times {
    fn read(&mut self, byte: u8) -> Option<u64> {
        match (byte, self.digits) {
            (MARK, _) => {
                self.number = 0;
                self.digits = Some(0);
            }
            (b'0'..=b'9', Some(digits)) => {
                self.number = self.number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                self.digits = Some(digits + 1);
            }
            (b' ', Some(16)) => {
                self.digits = None;
                return Some(self.number);
            }
            _ => self.digits = None,
        }
        None
    }
}

fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

/// A batch of publications of about 130 bytes, as the relay sends them.
fn batch(size: usize, channel: impl Fn(usize) -> String) -> String {
    let command = |number| {
        let (channel, time) = (channel(number), micros());
        format!(
            r#"{{"publish":{{"channel":"{channel}","data":{{"event_class":"Order edited","message":"Order A-17 is paid","time":"{}{time} "}}}}}}"#,
            MARK as char
        )
    };
    let commands: Vec<String> = (0..size).map(command).collect();
    format!(r#"{{"commands":[{}]}}"#, commands.join(","))
}

async fn post(http: &reqwest::Client, server: &Centrifugo, body: String) {
    let request = http
        .post(format!("{}/api/batch", server.url))
        .header("X-API-Key", &server.api_key);
    request.body(body).send().await.unwrap().error_for_status().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_are_held_and_hear_and_others_come_and_go() {
    let size = 10_000;
    // The test and the server have one for each connection.
    if descriptors() < size + 2_000 {
        let why = "skipped: the test needs 12,000 file descriptors; raise `ulimit -n`\n";
        std::io::stderr().write_all(why.as_bytes()).unwrap();
        return;
    }
    let hub = Site::on_hub(18, "").await;
    let crowd = Crowd::gather(&hub.centrifugo, size).await;
    let before = Instant::now();
    drop(open(hub.centrifugo.url.trim_start_matches("http://")).await);
    assert!(before.elapsed() < SOON, "one more comes in time");
    post(&hub.http, &hub.centrifugo, batch(3, |_| "public".to_owned())).await;
    crowd.heard(3 * size as u64).await;
    let memory = hub.instant.memory();
    assert!(memory < 400 << 20, "{} MB", memory >> 20);
}

/// How many files this process may have open.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    files.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

/// Figures of one server.
#[derive(Debug, Default)]
struct Figures {
    publications: f64,
    deliveries: Vec<f64>,
    latencies: Vec<[u64; 2]>,
}

/// The listeners of a channel.
const CROWDS: [usize; 2] = [500, 5000];
/// Batches, and the publications of each, as the relay's.
const BATCHES: usize = 2000;
const SIZE: usize = 200;

async fn measure(site: &Site) -> Figures {
    let server = &site.centrifugo;
    let http = reqwest::Client::new();
    let mut figures = Figures::default();
    // Nobody listens: four lanes of batches into a hundred channels.
    let started = Instant::now();
    let mut lanes = JoinSet::new();
    for lane in 0..4 {
        let (http, url, key) = (http.clone(), server.url.clone(), server.api_key.clone());
        lanes.spawn(async move {
            let server = Centrifugo::at(&url, &key);
            for _ in 0..BATCHES / 4 {
                post(
                    &http,
                    &server,
                    batch(SIZE, |number| format!("channel-{}", lane * 25 + number % 25)),
                )
                .await;
            }
        });
    }
    lanes.join_all().await;
    figures.publications = (BATCHES / 4 * 4 * SIZE) as f64 / started.elapsed().as_secs_f64();

    for size in CROWDS {
        let mut crowd = Crowd::gather(server, size).await;
        let publications = 1_000_000 / size;
        let started = Instant::now();
        for _ in 0..publications / 20 {
            post(&http, server, batch(20, |_| "public".to_owned())).await;
        }
        crowd.heard((publications * size) as u64).await;
        figures
            .deliveries
            .push((publications * size) as f64 / started.elapsed().as_secs_f64());
        while crowd.latencies.try_recv().is_ok() {}

        // Fewer than it could: 20,000 deliveries a second.
        let pause = Duration::from_secs_f64(size as f64 / 20_000.0);
        let mut ticks = tokio::time::interval(pause);
        let wanted = 100_000 / size;
        for _ in 0..wanted {
            ticks.tick().await;
            post(&http, server, batch(1, |_| "public".to_owned())).await;
        }
        crowd.heard(((publications + wanted) * size) as u64).await;
        let mut latencies: Vec<u64> = std::iter::from_fn(|| crowd.latencies.try_recv().ok()).collect();
        latencies.sort_unstable();
        let place = |share: usize| latencies[(latencies.len() - 1) * share / 100];
        figures.latencies.push([place(50), place(99)]);
        drop(crowd);
        deserted(server).await;
    }
    figures
}

/// Bytes that each of many idle connections costs a server that has just been started.
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

/// Waits until nobody is connected any more.
async fn deserted(server: &Centrifugo) {
    eventually(SOON, "the end of every connection", async || {
        let info = server.call("info", &json!({})).await;
        (info["result"]["nodes"][0]["num_clients"].as_u64().unwrap_or_default() == 0).then_some(())
    })
    .await;
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: it prints figures"]
async fn the_hub_and_centrifugo_side_by_side() {
    let [centrifugo, hub] = Site::both("").await;
    let connections = [connection(&centrifugo).await, connection(&hub).await].map(|bytes| bytes / 1000.0);
    let mut rows: Vec<(String, Vec<f64>, Vec<f64>)> = Vec::new();
    for round in 0..3 {
        // In turn: what else the machine does meets both.
        let figures = [measure(&centrifugo).await, measure(&hub).await];
        let listed = figures.map(|figures| {
            let mut list = vec![("publications/s, 100 channels".to_owned(), figures.publications)];
            for (at, size) in CROWDS.iter().enumerate() {
                list.push((format!("deliveries/s, {size} listeners"), figures.deliveries[at]));
                list.push((
                    format!("latency p50, {size} listeners, ms"),
                    figures.latencies[at][0] as f64 / 1000.0,
                ));
                list.push((
                    format!("latency p99, {size} listeners, ms"),
                    figures.latencies[at][1] as f64 / 1000.0,
                ));
            }
            list
        });
        let [left, right] = listed;
        for (at, ((name, left), (_, right))) in left.into_iter().zip(right).enumerate() {
            if round == 0 {
                rows.push((name, Vec::new(), Vec::new()));
            }
            rows[at].1.push(left);
            rows[at].2.push(right);
        }
    }
    println!("| median of 3 (smallest to largest) | Centrifugo 6.9.1 | hub | hub / Centrifugo |\n|---|---|---|---|");
    for (name, mut left, mut right) in rows {
        left.sort_by(f64::total_cmp);
        right.sort_by(f64::total_cmp);
        let shown = |figures: &[f64]| format!("{:.1} ({:.1} to {:.1})", figures[1], figures[0], figures[2]);
        println!(
            "| {name} | {} | {} | {:.2} |",
            shown(&left),
            shown(&right),
            right[1] / left[1]
        );
    }
    let [left, right] = connections;
    println!(
        "| memory of an idle connection, kB | {left:.1} | {right:.1} | {:.2} |",
        right / left
    );
}
