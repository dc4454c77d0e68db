//! Connections to the hub over plain HTTP, for networks that block WebSocket connections: the response to one request is streamed, and the
//! client's commands arrive in separate requests.
//!
//! ```text
//!  POST /connection/http_stream, its body the command `connect`    ──▶ a line of JSON for each message
//!  GET  /connection/sse?cf_connect=…                              ──▶ a server-sent event for each message
//!  POST /emulation {"session": …, "node": …, "data": "commands"}  ──▶ 204
//! ```
//!
//! The session is a secret in the answer to `connect`: a request that has it acts for the client.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, RawQuery, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, CONTENT_TYPE, HeaderName, HeaderValue,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use parking_lot::{Mutex, MutexGuard};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::Hangup;
use super::hub_authority::HubAuthority;
use super::{Credentials, Web, origin, random};
use crate::hub::Session;
use crate::hub::code::Disconnect;
use crate::hub::json;
use crate::hub::queue::Output;

/// Connections of this kind at once: each takes one of the connections that the server has for all requests.
const PLACES: usize = 2048;
/// How long a disconnected client may take to read what is left.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The node in a connection's answer: there is one process.
const NODE: &str = "instant";
/// Asks nginx to forward each message immediately.
pub(super) const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// The connections over plain HTTP.
#[derive(Debug)]
pub(super) struct Emulated {
    sessions: Mutex<HashMap<String, Weak<Session<HubAuthority>>>>,
    places: Arc<Semaphore>,
}

impl Default for Emulated {
    fn default() -> Self {
        Self {
            sessions: Mutex::default(),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }
}

impl Emulated {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<Session<HubAuthority>>>> {
        self.sessions.lock()
    }
}

/// How messages are delimited.
#[derive(Clone, Copy, Debug)]
enum Format {
    Lines,
    ServerSentEvents,
}

impl Format {
    const fn content_type(self) -> HeaderValue {
        match self {
            Self::Lines => HeaderValue::from_static("application/json"),
            Self::ServerSentEvents => HeaderValue::from_static("text/event-stream; charset=utf-8"),
        }
    }

    /// Encodes a frame of the hub: messages separated by line feeds, which JSON does not contain.
    fn write(self, frame: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(frame.len() + 32);
        match self {
            Self::Lines => {
                out.extend_from_slice(frame);
                out.extend_from_slice(b"\n");
            }
            Self::ServerSentEvents => {
                for message in frame.split(|&byte| byte == b'\n') {
                    out.extend_from_slice(b"data: ");
                    out.extend_from_slice(message);
                    out.extend_from_slice(b"\n\n");
                }
            }
        }
        out.freeze()
    }
}

/// The stream to one client. It is dropped when the client is gone.
struct Stream {
    web: Arc<Web>,
    session: Arc<Session<HubAuthority>>,
    key: String,
    format: Format,
    has_ended: bool,
    _watch: DropGuard,
    _place: OwnedSemaphorePermit,
}

/// `POST /connection/http_stream`.
pub(super) async fn http_stream(
    State(web): State<Arc<Web>>,
    Extension(hangup): Extension<Hangup>,
    headers: HeaderMap,
    body: String,
) -> Response {
    open(web, hangup, &headers, &body, Format::Lines).await
}

/// `GET /connection/sse`.
pub(super) async fn sse(
    State(web): State<Arc<Web>>,
    Extension(hangup): Extension<Hangup>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let parts = query.as_deref().unwrap_or_default().split('&');
    let connect = parts.filter_map(|part| part.strip_prefix("cf_connect=")).next_back();
    let Some(connect) = connect else {
        return (StatusCode::BAD_REQUEST, "`cf_connect` holds the command\n").into_response();
    };
    let plain = connect.replace('+', " ");
    match percent_decode_str(&plain).decode_utf8() {
        // Anyone can make a user's browser request a URL with that user's cookies.
        Ok(connect) if connect.lines().count() > 1 => {
            (StatusCode::BAD_REQUEST, "`cf_connect` holds one command\n").into_response()
        }
        Ok(connect) => open(web, hangup, &headers, &connect, Format::ServerSentEvents).await,
        Err(_) => (StatusCode::BAD_REQUEST, "`cf_connect` is not UTF-8\n").into_response(),
    }
}

async fn open(web: Arc<Web>, Hangup(hangup): Hangup, headers: &HeaderMap, connect: &str, format: Format) -> Response {
    let Some(hub) = &web.hub else {
        return (StatusCode::NOT_FOUND, "there is no hub: browsers connect to Centrifugo\n").into_response();
    };
    let place = Arc::clone(&web.emulated.places).try_acquire_owned().ok();
    let session = Session::open(hub, HubAuthority::new(Arc::clone(&web), &Credentials::of(headers)));
    let (Some(place), Some(session), Ok(key)) = (place, session, random::secret()) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no connections are accepted for now\n").into_response();
    };
    let session = Arc::new(session.emulated(&key, NODE));
    if let Err(disconnect) = session.receive(connect).await {
        session.queue().end(disconnect);
    }
    web.emulated.lock().insert(key.clone(), Arc::downgrade(&session));
    let watched = CancellationToken::new();
    web.tasks.spawn(watch(Arc::clone(&session), watched.clone(), hangup));
    let stream = Stream {
        web: Arc::clone(&web),
        session,
        key,
        format,
        has_ended: false,
        _watch: watched.drop_guard(),
        _place: place,
    };
    let messages = futures_util::stream::unfold(stream, async |mut stream| {
        let message = stream.next().await?;
        Some((Ok::<_, Infallible>(message), stream))
    });
    (
        [(CONTENT_TYPE, format.content_type()), UNBUFFERED],
        Body::from_stream(messages),
    )
        .into_response()
}

/// Supervises a connection until it is gone. One that does not read what is left in time is closed.
async fn watch(session: Arc<Session<HubAuthority>>, gone: CancellationToken, hangup: CancellationToken) {
    tokio::select! {
        disconnect = session.supervise() => session.queue().end(disconnect),
        () = session.queue().cut() => {}
        () = gone.cancelled() => return,
    }
    if tokio::time::timeout(CLOSE_TIMEOUT, gone.cancelled()).await.is_err() {
        hangup.cancel();
    }
}

impl Stream {
    /// The next messages; `None` after the one that ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if self.has_ended {
            return None;
        }
        match self.session.queue().next().await {
            Output::Frame(frame) => Some(self.format.write(&frame)),
            Output::End(Disconnect { code, reason }) => {
                self.has_ended = true;
                let message = json::object(|message| {
                    message.object("push", |push| {
                        push.object("disconnect", |disconnect| {
                            disconnect.number("code", code.into());
                            disconnect.text("reason", &reason);
                        });
                    });
                });
                Some(self.format.write(&message))
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.web.emulated.lock().remove(&self.key);
    }
}

/// Commands of a client.
#[derive(Deserialize)]
struct Commands {
    session: String,
    data: String,
}

/// `POST /emulation`: commands, as in a frame of a WebSocket.
pub(super) async fn emulation(State(web): State<Arc<Web>>, body: Bytes) -> StatusCode {
    let Ok(commands) = serde_json::from_slice::<Commands>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let session = web.emulated.lock().get(&commands.session).and_then(Weak::upgrade);
    let Some(session) = session else {
        // It may be a session of the leader.
        return if web.reaches_subscribers() {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
    };
    if let Err(disconnect) = session.receive(&commands.data).await {
        session.queue().end(disconnect);
    }
    StatusCode::NO_CONTENT
}

/// Accepts requests of pages of allowed origins and of programs, and answers the preflight requests of browsers.
pub(super) async fn cross_origin(State(web): State<Arc<Web>>, request: axum::extract::Request, next: Next) -> Response {
    let origin = origin::allowed(&web, request.headers());
    if !origin::is_welcome(&web, request.headers()) {
        return (StatusCode::FORBIDDEN, "this origin is not allowed\n").into_response();
    }
    let mut answer = if request.method() == axum::http::Method::OPTIONS {
        let allowed: [(HeaderName, HeaderValue); 3] = [
            (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST")),
            (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type")),
            (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("300")),
        ];
        (StatusCode::NO_CONTENT, allowed).into_response()
    } else {
        next.run(request).await
    };
    if let Some(origin) = origin {
        origin::add_cors_headers(answer.headers_mut(), origin);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_of_a_frame_are_delimited() {
        let frame = b"{\"id\":1}\n{}";
        assert_eq!(Format::Lines.write(frame), "{\"id\":1}\n{}\n");
        assert_eq!(Format::ServerSentEvents.write(frame), "data: {\"id\":1}\n\ndata: {}\n\n");
    }
}
