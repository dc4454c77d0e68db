//! A client of the bare protocol, which sends a test's frames and keeps the answers.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::support::site::{ORIGIN, Site};
use crate::support::wait::{SOON, within};

/// A WebSocket to a site's Centrifugo or hub.
pub(super) struct Wire {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Lines of frames that have not been taken yet.
    left: Vec<Value>,
}

impl Wire {
    /// Opens a socket with a session cookie, and sends nothing.
    pub(super) async fn open(site: &Site, cookie: &str) -> Self {
        let mut request = site.centrifugo.ws_url.as_str().into_client_request().unwrap();
        request.headers_mut().insert("origin", ORIGIN.parse().unwrap());
        if !cookie.is_empty() {
            let cookie = format!("sessionid={cookie}").parse().unwrap();
            request.headers_mut().insert("cookie", cookie);
        }
        let opened = within(SOON, "a WebSocket", tokio_tungstenite::connect_async(request)).await;
        Self {
            socket: opened.unwrap().0,
            left: Vec::new(),
        }
    }

    /// The same, with a first `connect`.
    pub(super) async fn connect(site: &Site, cookie: &str) -> (Self, Value) {
        let mut wire = Self::open(site, cookie).await;
        let answer = wire.ask(r#"{"connect":{},"id":1}"#, 1).await.remove(0);
        (wire, answer)
    }

    /// Sends a frame and waits for this many messages, or for the end of the connection, `{"close":CODE,"reason":…}`.
    pub(super) async fn ask(&mut self, frame: &str, count: usize) -> Vec<Value> {
        self.send(frame).await;
        self.take(count).await
    }

    pub(super) async fn send(&mut self, frame: &str) {
        // The other side may have closed.
        let _ = self.socket.send(Message::text(frame)).await;
    }

    /// Waits for the end of the connection, whatever precedes it, without sending; returns its code and reason, `None` if it breaks off.
    pub(super) async fn end(mut self, patience: Duration) -> Option<(u16, String)> {
        let end = async {
            while let Some(Ok(message)) = self.socket.next().await {
                if let Message::Close(frame) = message {
                    return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                }
            }
            None
        };
        within(patience, "the end of the connection", end).await
    }

    /// The next messages.
    pub(super) async fn take(&mut self, count: usize) -> Vec<Value> {
        while self.left.len() < count {
            match within(SOON, "a message", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => {
                    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
                    self.left.extend(lines);
                }
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame.map_or((0, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                    self.left.push(json!({ "close": code, "reason": reason }));
                    return std::mem::take(&mut self.left);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    self.left.push(json!({ "close": 0 }));
                    return std::mem::take(&mut self.left);
                }
            }
        }
        self.left.drain(..count).collect()
    }
}
