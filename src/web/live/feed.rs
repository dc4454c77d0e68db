//! `GET /live/events`: events as they are published, and the status, as server-sent events.
//!
//! `event` is `{ channel, refused, event }`, where `event` is null if it is too large to show; `skipped` is the number of events that
//! were published while this browser was slow; `status` comes every two seconds.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::guests;
use crate::publisher::Passed;
use crate::web::Web;
use crate::web::emulation::UNBUFFERED;

/// Between two statuses, and two checks that the viewer may still see them.
const LOOK: Duration = Duration::from_secs(2);
/// Events that are sent at once, if that many wait.
const CHUNK: usize = 256;
/// The most users and channels of a status.
const LISTED: usize = 100;

/// What one browser is sent.
struct Feed {
    web: Arc<Web>,
    /// The headers that identify the browser.
    headers: HeaderMap,
    passed: Receiver<Arc<Passed>>,
    look: Interval,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn open(State(web): State<Arc<Web>>, headers: HeaderMap) -> Response {
    let Ok(place) = Arc::clone(&web.live.viewers).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "this page has too many viewers\n").into_response();
    };
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = Feed {
        passed: web.live.observers.join(),
        web,
        headers,
        look,
        _place: place,
    };
    let chunks = futures_util::stream::unfold(feed, async |mut feed| {
        let chunk = feed.next().await?;
        Some((Ok::<_, Infallible>(chunk), feed))
    });
    let kind = (CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    ([kind, UNBUFFERED], Body::from_stream(chunks)).into_response()
}

impl Feed {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let closing = self.web.live.closing.clone();
        // In this order: a browser that has read nothing for long is checked before it reads on.
        tokio::select! {
            biased;
            () = closing.cancelled() => None,
            _ = self.look.tick() => self.status().await,
            passed = self.passed.recv() => self.passed(passed),
        }
    }

    /// An event, and those that wait after it.
    fn passed(&mut self, first: Result<Arc<Passed>, RecvError>) -> Option<Bytes> {
        let mut chunk = Vec::new();
        match first {
            Ok(passed) => write(&mut chunk, &passed),
            Err(RecvError::Lagged(skipped)) => message(&mut chunk, "skipped", skipped.to_string().as_bytes()),
            Err(RecvError::Closed) => return None,
        }
        for _ in 1..CHUNK {
            match self.passed.try_recv() {
                Ok(passed) => write(&mut chunk, &passed),
                Err(TryRecvError::Lagged(skipped)) => message(&mut chunk, "skipped", skipped.to_string().as_bytes()),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        Some(chunk.into())
    }

    /// The status; `None` if the viewer is no longer staff. A database that does not answer changes nothing.
    async fn status(&self) -> Option<Bytes> {
        if matches!(guests::may_view(&self.web, &self.headers).await, Ok(false)) {
            return None;
        }
        let mut chunk = Vec::new();
        message(&mut chunk, "status", status(&self.web).await.to_string().as_bytes());
        Some(chunk.into())
    }
}

/// The relay, the outbox, and who is connected.
async fn status(web: &Web) -> Value {
    let health = web.monitor.health();
    let connected = match &web.backend {
        Some(backend) => backend.connected(LISTED).await,
        None => None,
    };
    json!({
        "site": web.live.site,
        "role": health.role(),
        "lag_seconds": health.lag().as_secs_f64(),
        "depth": web.monitor.depth().await,
        "connected": connected,
    })
}

fn write(chunk: &mut Vec<u8>, passed: &Passed) {
    let mut data = b"{\"channel\":".to_vec();
    // Writing to a Vec cannot fail, and a string always has a JSON form.
    let _ = serde_json::to_writer(&mut data, &*passed.channel);
    let refused = passed
        .refused
        .as_ref()
        .map(|refused| json!({ "code": refused.code, "message": refused.message }));
    data.extend_from_slice(b",\"refused\":");
    let _ = serde_json::to_writer(&mut data, &refused);
    data.extend_from_slice(b",\"event\":");
    data.extend_from_slice(passed.event.as_deref().unwrap_or(b"null"));
    data.push(b'}');
    message(chunk, "event", &data);
}

/// Appends a message. Its data is JSON, where a line's end is white space: in this format it would end the data.
fn message(chunk: &mut Vec<u8>, name: &str, data: &[u8]) {
    chunk.extend_from_slice(b"event: ");
    chunk.extend_from_slice(name.as_bytes());
    chunk.extend_from_slice(b"\ndata: ");
    chunk.extend(
        data.iter()
            .map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }),
    );
    chunk.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publisher::Rejection;

    #[test]
    fn an_event_is_one_message_whatever_it_contains_and_a_huge_one_is_omitted() {
        let passed = |event: Option<&str>, refused| Passed {
            channel: "a\nb".into(),
            event: event.map(|event| event.as_bytes().into()),
            refused,
        };
        let written = |passed: Passed| {
            let mut chunk = Vec::new();
            write(&mut chunk, &passed);
            String::from_utf8(chunk).unwrap()
        };
        let shown = written(passed(Some("{\"data\":\r\n1}"), None));
        assert_eq!(
            shown,
            "event: event\ndata: {\"channel\":\"a\\nb\",\"refused\":null,\"event\":{\"data\":  1}}\n\n"
        );
        let (code, message) = (102, "unknown channel".to_owned());
        let shown = written(passed(None, Some(Rejection { code, message })));
        assert!(
            shown.ends_with("\"refused\":{\"code\":102,\"message\":\"unknown channel\"},\"event\":null}\n\n"),
            "{shown}"
        );
    }
}
