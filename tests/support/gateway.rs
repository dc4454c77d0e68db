//! A gateway in front of the real Centrifugo that fails on one channel and forwards all other requests.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// How the gateway fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The channel's publications get this error of Centrifugo's; the others of their batch are forwarded.
    Code(u32),
    /// A batch that names the channel gets this HTTP status as a whole.
    Status(u16),
    /// A batch that names the channel is executed, and the connection breaks in the middle of the answer.
    HalfAnswer,
}

/// A running gateway for `/api/batch`.
pub(crate) struct Gateway {
    /// The URL for `[centrifugo] url`, in place of Centrifugo's.
    pub(crate) url: String,
    shared: Arc<Shared>,
    serving: AbortHandle,
}

struct Shared {
    target: String,
    http: reqwest::Client,
    failing: Mutex<Option<(String, Failure)>>,
    keys_dropped: AtomicBool,
    /// The idempotency keys of the publications that it has failed, once per attempt.
    failed: Mutex<Vec<String>>,
    /// Those of the publications that it has forwarded, once per attempt.
    passed: Mutex<Vec<String>>,
}

impl Gateway {
    /// Listens on a free port and forwards everything to the server at `url`.
    pub(crate) async fn to(url: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: format!("{url}/api/batch"),
            http: reqwest::Client::new(),
            failing: Mutex::default(),
            keys_dropped: AtomicBool::default(),
            failed: Mutex::default(),
            passed: Mutex::default(),
        });
        let router = Router::new().route("/api/batch", post(batch)).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async { axum::serve(listener, router).await.unwrap() }).abort_handle();
        Self {
            url: format!("http://{address}"),
            shared,
            serving,
        }
    }

    /// Fails on this channel from now on.
    pub(crate) fn fail_on(&self, channel: &str, failure: Failure) {
        *self.shared.failing.lock() = Some((channel.to_owned(), failure));
    }

    /// Stops failing.
    pub(crate) fn restore(&self) {
        *self.shared.failing.lock() = None;
    }

    /// Removes the idempotency keys from publications that it forwards.
    pub(crate) fn drop_keys(&self) {
        self.shared.keys_dropped.store(true, Ordering::Relaxed);
    }

    /// The idempotency keys of the channel's failed publications, in the order of the attempts.
    pub(crate) fn failed(&self) -> Vec<String> {
        self.shared.failed.lock().clone()
    }

    /// The idempotency keys of the forwarded publications, in their order.
    pub(crate) fn passed(&self) -> Vec<String> {
        self.shared.passed.lock().clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers one batch.
async fn batch(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let failing = shared.failing.lock().clone();
    let request: Value = serde_json::from_slice(&body).unwrap();
    let commands = request["commands"].as_array().unwrap();
    let is_failing = |command: &Value| {
        let channel = &command["publish"]["channel"];
        failing.as_ref().is_some_and(|(failing, _)| channel == failing)
    };
    let keys: Vec<String> = commands.iter().filter(|command| is_failing(command)).map(key).collect();
    let (Some((_, failure)), false) = (&failing, keys.is_empty()) else {
        return shared.pass(&headers, &request).await.into_response();
    };
    shared.failed.lock().extend(keys);
    match failure {
        Failure::Code(code) => {
            let others: Vec<&Value> = commands.iter().filter(|command| !is_failing(command)).collect();
            let (_, answer) = shared.pass(&headers, &json!({ "commands": others })).await;
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let mut passed = answer["replies"].as_array().cloned().unwrap_or_default().into_iter();
            let replies = commands.iter().map(|command| {
                let error = json!({ "error": { "code": code, "message": "made up" } });
                if is_failing(command) { error } else { passed.next().unwrap() }
            });
            json!({ "replies": replies.collect::<Vec<_>>() }).to_string().into_response()
        }
        Failure::Status(status) => StatusCode::from_u16(*status).unwrap().into_response(),
        Failure::HalfAnswer => {
            let (_, answer) = shared.pass(&headers, &request).await;
            let half = Bytes::from(answer[..answer.len() / 2].to_owned());
            let parts = [Ok(half), Err(io::Error::from(io::ErrorKind::ConnectionReset))];
            Body::from_stream(futures_util::stream::iter(parts)).into_response()
        }
    }
}

/// The idempotency key of a publication.
fn key(command: &Value) -> String {
    command["publish"]["idempotency_key"].as_str().unwrap().to_owned()
}

impl Shared {
    /// Forwards a request, and returns the real server's answer.
    async fn pass(&self, headers: &HeaderMap, request: &Value) -> (StatusCode, String) {
        let mut request = request.clone();
        let keys = request["commands"].as_array().unwrap().iter().map(key);
        self.passed.lock().extend(keys);
        if self.keys_dropped.load(Ordering::Relaxed) {
            for command in request["commands"].as_array_mut().unwrap() {
                command["publish"].as_object_mut().unwrap().remove("idempotency_key");
            }
        }
        let sent = self.http.post(&self.target).header("X-API-Key", &headers["x-api-key"]);
        let answer = sent.json(&request).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}
