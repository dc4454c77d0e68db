//! `/connection/websocket`: the hub's WebSocket endpoint, compatible with Centrifugo's.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State};
use axum::http::header::SEC_WEBSOCKET_PROTOCOL;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};

use super::hub_authority::HubAuthority;
use super::{Credentials, Web, origin};
use crate::hub::Session;
use crate::hub::code::Disconnect;
use crate::hub::queue::Output;

/// The largest frame of a client in bytes, as in Centrifugo.
const LARGEST_FRAME: usize = 64 * 1024;
/// The size of each socket's buffers for reading and writing, in bytes: commands are short, and frames are written immediately.
const BUFFER: usize = 4 * 1024;
/// How long a frame may take to be sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The subprotocol that a client may request.
const PROTOCOL: &str = "centrifuge-json";
/// The subprotocol of Centrifugo that the hub does not support.
const PROTOBUF: &str = "centrifuge-protobuf";

/// Opens a WebSocket for a page of an allowed origin, or for a program, which sends no origin.
pub(super) async fn open(
    State(web): State<Arc<Web>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Some(hub) = &web.hub else {
        return (StatusCode::NOT_FOUND, "there is no hub: browsers connect to Centrifugo\n").into_response();
    };
    if !origin::is_welcome(&web, &headers) {
        return (StatusCode::FORBIDDEN, "this origin is not allowed\n").into_response();
    }
    if query.is_some_and(|query| query.contains("=protobuf")) || names(&headers, PROTOBUF) && !names(&headers, PROTOCOL) {
        return (StatusCode::BAD_REQUEST, "the hub supports only JSON\n").into_response();
    }
    let Some(session) = Session::open(hub, HubAuthority::new(Arc::clone(&web), &Credentials::of(&headers))) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no connections are accepted for now\n").into_response();
    };
    let token = web.tasks.token();
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(LARGEST_FRAME)
        .max_frame_size(LARGEST_FRAME)
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .on_upgrade(async move |socket| {
            run(socket, session).await;
            drop(token);
        })
}

/// Whether the client requests a subprotocol.
fn names(headers: &HeaderMap, protocol: &str) -> bool {
    let lists = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|name| name.trim() == protocol)
}

/// Serves one client until either side ends the connection.
async fn run(socket: WebSocket, session: Session<HubAuthority>) {
    let (mut sink, mut stream) = socket.split();
    let ended = tokio::select! {
        () = read(&mut stream, &session) => None,
        ended = write(&mut sink, &session) => ended,
        disconnect = session.supervise() => {
            session.queue().end(disconnect);
            write(&mut sink, &session).await
        }
    };
    // The subscriptions end immediately, however slowly the client closes.
    drop(session);
    let frame = ended.map(|Disconnect { code, reason }| CloseFrame {
        code,
        reason: Utf8Bytes::from(&*reason),
    });
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, async {
        // Its data is read to the end: closing before that would reset the connection, and the client would not see the code.
        if sink.send(Message::Close(frame)).await.is_ok() {
            while let Some(Ok(_)) = stream.next().await {}
        }
    })
    .await;
}

/// Reads until the client closes. Nothing is read after a protocol violation.
async fn read(stream: &mut SplitStream<WebSocket>, session: &Session<HubAuthority>) {
    while let Some(Ok(message)) = stream.next().await {
        let done = match &message {
            Message::Text(text) => session.receive(text).await,
            Message::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => session.receive(text).await,
                Err(_) => Err(Disconnect::BAD_REQUEST),
            },
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        };
        if let Err(disconnect) = done {
            session.queue().end(disconnect);
            std::future::pending::<()>().await;
        }
    }
}

/// Writes until the session ends, and returns why; `None` if the client reads nothing more.
async fn write(sink: &mut SplitSink<WebSocket, Message>, session: &Session<HubAuthority>) -> Option<Disconnect> {
    let queue = session.queue();
    loop {
        match queue.next().await {
            Output::Frame(frame) => {
                let sent = tokio::select! {
                    sent = tokio::time::timeout(WRITE_TIMEOUT, sink.send(text(frame))) => sent,
                    () = queue.cut() => return Some(Disconnect::SLOW),
                };
                if !matches!(sent, Ok(Ok(()))) {
                    return None;
                }
            }
            Output::End(disconnect) => return Some(disconnect),
        }
    }
}

fn text(frame: Bytes) -> Message {
    match Utf8Bytes::try_from(frame) {
        Ok(text) => Message::Text(text),
        // JSON is UTF-8.
        Err(_) => Message::Text(Utf8Bytes::from_static("")),
    }
}
