//! A connection to Centrifugo as a page's client makes it: a WebSocket with the page's origin and cookies.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use reqwest::header::{CONNECTION, COOKIE, ORIGIN, UPGRADE};
use reqwest::{StatusCode, Upgraded};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// How long a step may take; Centrifugo itself waits up to four seconds for Instant.
const TIMEOUT: Duration = Duration::from_secs(6);
/// No answer to a probe is longer.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// An open WebSocket.
#[derive(Debug)]
pub(super) struct Browser {
    socket: WebSocketStream<Upgraded>,
}

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// The server rejects this page.
    #[error("it refuses the origin")]
    Origin,
    /// There is a server, but no WebSocket.
    #[error("it answers {0}")]
    Status(StatusCode),
    /// There is no server.
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
}

/// Why a command has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// The command's own error.
    #[error("error {code}, {reason}")]
    Error {
        /// Centrifugo's, or Instant's.
        code: u32,
        /// Its text.
        reason: String,
    },
    /// The connection was closed.
    #[error("closed with {code}, {reason}")]
    Closed {
        /// Centrifugo's, or Instant's; 0 if there is none.
        code: u32,
        /// Its text.
        reason: String,
    },
    /// No answer came.
    #[error("no answer in time")]
    Silence,
}

/// A line of a frame; only what is read.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: u32,
    error: Option<Reason>,
    push: Option<Push>,
    #[serde(flatten)]
    result: Value,
}

#[derive(Deserialize)]
struct Push {
    disconnect: Option<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    code: u32,
    #[serde(default, alias = "message")]
    reason: String,
}

impl Browser {
    /// Connects to `url`, whose scheme is that of HTTP, with these cookies, as a page of `origin`, or as a program, which has none.
    pub(super) async fn open(http: &reqwest::Client, url: &str, origin: Option<&str>, cookies: &str) -> Result<Self, OpenError> {
        let nonce: [u8; 16] = std::array::from_fn(|_| fastrand::u8(..));
        let mut request = http.get(url).timeout(TIMEOUT).header(COOKIE, cookies);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        let request = request
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", STANDARD.encode(nonce));
        let response = request.send().await.map_err(OpenError::Unreachable)?;
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => {}
            StatusCode::FORBIDDEN => return Err(OpenError::Origin),
            other => return Err(OpenError::Status(other)),
        }
        let stream = response.upgrade().await.map_err(OpenError::Unreachable)?;
        let limits = WebSocketConfig::default().max_message_size(Some(LONGEST_MESSAGE));
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, Some(limits)).await;
        Ok(Self { socket })
    }

    /// Sends the only command of its kind and waits for its result.
    pub(super) async fn ask(&mut self, id: u32, name: &str, parameters: Value) -> Result<Value, Refused> {
        let answer = tokio::time::timeout(TIMEOUT, self.answer(id, name, parameters)).await;
        answer.unwrap_or(Err(Refused::Silence))
    }

    async fn answer(&mut self, id: u32, name: &str, parameters: Value) -> Result<Value, Refused> {
        let broken = || Refused::Closed {
            code: 0,
            reason: "the connection broke".to_owned(),
        };
        let command = json!({ "id": id, name: parameters }).to_string();
        self.socket.send(Message::text(command)).await.map_err(|_| broken())?;
        while let Some(Ok(message)) = self.socket.next().await {
            match message {
                Message::Text(text) => {
                    if let Some(answer) = read(&text, id, name) {
                        return answer;
                    }
                }
                Message::Close(Some(frame)) => {
                    return Err(Refused::Closed {
                        code: u16::from(frame.code).into(),
                        reason: frame.reason.to_string(),
                    });
                }
                _ => {}
            }
        }
        Err(broken())
    }
}

/// The answer to the command in a frame, if it is there.
fn read(frame: &str, id: u32, name: &str) -> Option<Result<Value, Refused>> {
    frame.lines().find_map(|line| {
        let mut line: Line = serde_json::from_str(line).ok()?;
        if let Some(Reason { code, reason }) = line.push.and_then(|push| push.disconnect) {
            return Some(Err(Refused::Closed { code, reason }));
        }
        if line.id != id {
            return None;
        }
        Some(match line.error {
            Some(Reason { code, reason }) => Err(Refused::Error { code, reason }),
            None => Ok(line.result[name].take()),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_among_pings_and_pushes_of_a_frame() {
        let found = |frame: &str| read(frame, 2, "subscribe");
        assert_eq!(
            found("{}\n{\"push\":{\"channel\":\"a\"}}\nnonsense\n{\"id\":1,\"connect\":{}}"),
            None
        );
        assert_eq!(found("{}\n{\"id\":2,\"subscribe\":{\"a\":1}}"), Some(Ok(json!({ "a": 1 }))));
        let (code, reason) = (103, "permission denied".to_owned());
        let error = "{\"id\":2,\"error\":{\"code\":103,\"message\":\"permission denied\"}}";
        assert_eq!(found(error), Some(Err(Refused::Error { code, reason })));
        let (code, reason) = (3500, "invalid token".to_owned());
        let push = "{\"push\":{\"disconnect\":{\"code\":3500,\"reason\":\"invalid token\"}}}";
        assert_eq!(found(push), Some(Err(Refused::Closed { code, reason })));
    }
}
