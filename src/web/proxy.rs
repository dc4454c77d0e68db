//! Centrifugo's proxy requests: who connects, who subscribes, and whether a connection may stay open.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::expiry::digest;
use super::unanswered::unavailable;
use super::{Credentials, DENIED, UNAUTHORIZED, Web};
use crate::access::{self, probe};
use crate::django::mac;

/// The header that authenticates Centrifugo.
pub const SECRET_HEADER: &str = "x-instant-secret";

/// A requested connection.
#[derive(Debug, Deserialize)]
struct Opening {
    #[serde(default)]
    client: String,
}

/// A requested subscription.
#[derive(Debug, Deserialize)]
struct Subscription {
    #[serde(default)]
    client: String,
    #[serde(default)]
    user: String,
    channel: String,
}

/// A connection that must be refreshed.
#[derive(Debug, Deserialize)]
struct Connection {
    #[serde(default)]
    client: String,
    #[serde(default)]
    user: String,
    meta: Option<Meta>,
}

/// Data that Centrifugo keeps from the answer to a connection and returns with later requests; the client does not see it.
#[derive(Debug, Deserialize)]
struct Meta {
    /// A digest of the channels.
    channels: String,
}

/// Accepts only requests with the shared secret. Guesses are rate-limited.
pub(super) async fn authenticate(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(SECRET_HEADER).map(|value| value.as_bytes().to_owned());
    let is_known = match (given, &web.secrets().proxy) {
        (Some(given), Some(wanted)) => mac::equal(&given, wanted.expose_secret().as_bytes()),
        _ => false,
    };
    if is_known {
        return next.run(request).await;
    }
    web.refuse_guess(&request, "only Centrifugo may call this\n")
}

/// Answers with the user of a cookie and the channels of the user's targets, whatever the client says about itself.
pub(super) async fn connect(State(web): State<Arc<Web>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Opening>(&body) else {
        return (StatusCode::BAD_REQUEST, "not a connection\n").into_response();
    };
    let given = Credentials::of(&headers);
    let secrets = web.secrets();
    let secret = secrets.proxy.as_ref();
    if secret.is_some_and(|secret| probe::is_one(&given.cookies, secret, access::now())) {
        return result(&json!({ "user": "", "data": { probe::COOKIE: true } }));
    }
    match web.admit(&given, &asked.client).await {
        Ok(Some(opened)) => {
            let meta = json!({ "channels": digest(&opened.channels) });
            result(&json!({ "user": opened.user, "expire_at": opened.expires, "channels": opened.channels, "meta": meta }))
        }
        Ok(None) => Json(json!({ "disconnect": { "code": UNAUTHORIZED.code, "reason": UNAUTHORIZED.reason } })).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// Answers whether the connection's user may subscribe to another channel.
pub(super) async fn subscribe(State(web): State<Arc<Web>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Subscription>(&body) else {
        return (StatusCode::BAD_REQUEST, "not a subscription\n").into_response();
    };
    match web
        .may_subscribe(&Credentials::of(&headers), &asked.client, &asked.user, &asked.channel)
        .await
    {
        Ok(true) => result(&json!({})),
        Ok(false) => Json(json!({ "error": { "code": DENIED.code, "message": DENIED.message } })).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// Answers whether a connection may stay open as it is.
pub(super) async fn refresh(State(web): State<Arc<Web>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(connection) = serde_json::from_slice::<Connection>(&body) else {
        return (StatusCode::BAD_REQUEST, "not a connection\n").into_response();
    };
    let given = connection.meta.as_ref().map(|meta| meta.channels.as_str());
    match web
        .renew(&Credentials::of(&headers), &connection.client, &connection.user, given)
        .await
    {
        Ok(Some(expires)) => result(&json!({ "expire_at": expires })),
        Ok(None) => result(&json!({ "expired": true })),
        Err(error) => unavailable(&error),
    }
}

fn result(value: &Value) -> Response {
    Json(json!({ "result": value })).into_response()
}
