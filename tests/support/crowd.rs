//! Thousands of subscribers of one channel, as light as they can be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::support::centrifugo::Centrifugo;
use crate::support::site::ORIGIN;
use crate::support::wait::{SOON, eventually};

/// Connections that are opened at once.
const AT_ONCE: usize = 200;
/// One in this many subscribers measures how long publications take.
const SAMPLE: usize = 20;
/// Marks the time in each publication: it precedes the microseconds, which a space ends.
pub(crate) const MARK: u8 = b'~';

/// Subscribers of the channel `public`, which share two cores with the server.
pub(crate) struct Crowd {
    heard: Arc<AtomicU64>,
    /// How long publications took to reach some of them, in microseconds.
    pub(crate) latencies: UnboundedReceiver<u64>,
    _listeners: JoinSet<()>,
}

impl Crowd {
    pub(crate) async fn gather(server: &Centrifugo, size: usize) -> Self {
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

    /// Waits until they have received this many publications in total.
    pub(crate) async fn heard(&self, wanted: u64) {
        eventually(SOON * 6, "every delivery", async || {
            (self.heard.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
    }
}

/// Opens a WebSocket and connects a client.
pub(crate) async fn open(address: &str) -> TcpStream {
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

/// Encodes a client's text frame, with a mask that changes nothing.
pub(crate) fn frame(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text].concat()
}

/// Counts publications, and answers pings.
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

/// Finds the times in a byte stream: a mark, sixteen digits and a space. A frame's length may look like a mark.
#[derive(Default)]
pub(crate) struct Times {
    number: u64,
    digits: Option<u32>,
}

impl Times {
    pub(crate) fn read(&mut self, byte: u8) -> Option<u64> {
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

pub(crate) fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

/// Encodes a batch of publications of about 130 bytes each, as the relay does.
pub(crate) fn batch(size: usize, channel: impl Fn(usize) -> String) -> String {
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

pub(crate) async fn post(http: &reqwest::Client, server: &Centrifugo, body: String) {
    let request = http
        .post(format!("{}/api/batch", server.url))
        .header("X-API-Key", &server.api_key);
    request.body(body).send().await.unwrap().error_for_status().unwrap();
}
