//! A WebSocket client that records when it receives each event.

use std::collections::HashMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::contestant::Running;
use crate::latency::pace::Commit;
use crate::support::crowd::{Times, frame, micros, open};
use crate::support::wait::within;

/// An event that is not received by then is lost.
const DEADLINE: Duration = Duration::from_secs(30);

/// A client of the channel `public`.
pub(crate) struct Listener {
    heard: UnboundedReceiver<Commit>,
    _reading: JoinSet<()>,
}

impl Listener {
    /// Connects. The hub subscribes every connection by itself.
    pub(crate) async fn connect(running: &Running) -> Self {
        let mut socket = open(running.server.url.trim_start_matches("http://")).await;
        if !running.is_hub {
            let subscribe = br#"{"id":2,"subscribe":{"channel":"public"}}"#;
            socket.write_all(&frame(subscribe)).await.unwrap();
            let mut answer = [0; 512];
            let length = socket.read(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer[..length]);
            assert!(answer.contains("\"subscribe\""), "{answer}");
        }
        let (sender, heard) = unbounded_channel();
        let mut reading = JoinSet::new();
        reading.spawn(read(socket, sender));
        Self {
            heard,
            _reading: reading,
        }
    }

    /// How long each of these took, in milliseconds. An event that is received before its writer learns of the commit took no time.
    pub(crate) async fn latencies(&mut self, commits: &[Commit]) -> Vec<f64> {
        let mut open: HashMap<u64, u64> = commits.iter().map(|commit| (commit.number, commit.at)).collect();
        let mut latencies = Vec::with_capacity(commits.len());
        while !open.is_empty() {
            let heard = within(DEADLINE, "the event of every commit", self.heard.recv()).await;
            let Commit { number, at } = heard.expect("the listener is connected");
            if let Some(committed) = open.remove(&number) {
                #[expect(clippy::cast_precision_loss, reason = "microseconds of seconds")]
                latencies.push(at.saturating_sub(committed) as f64 / 1_000.0);
            }
        }
        latencies
    }
}

async fn read(mut socket: TcpStream, heard: UnboundedSender<Commit>) {
    let mut buffer = vec![0; 64 << 10];
    let mut numbers = Times::default();
    while let Ok(length @ 1..) = socket.read(&mut buffer).await {
        let at = micros();
        let bytes = &buffer[..length];
        for number in bytes.iter().filter_map(|byte| numbers.read(*byte)) {
            let _ = heard.send(Commit { number, at });
        }
        if bytes.windows(4).any(|window| window == b"\x81\x02{}") && socket.write_all(&frame(b"{}")).await.is_err() {
            return;
        }
    }
}
