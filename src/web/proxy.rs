//! What Centrifugo asks: who connects, who subscribes, whether a connection may go on.

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

use super::trouble::unavailable;
use super::validity::digest;
use super::{Credentials, DENIED, UNAUTHORIZED, Web};
use crate::access::{self, probe};
use crate::django::mac;

/// The header by which Centrifugo is known.
pub const SECRET_HEADER: &str = "x-instant-secret";

/// A connection that is asked for.
#[derive(Debug, Deserialize)]
struct Opening {
    #[serde(default)]
    client: String,
}

/// A subscription that is asked for.
#[derive(Debug, Deserialize)]
struct Subscription {
    #[serde(default)]
    client: String,
    #[serde(default)]
    user: String,
    channel: String,
}

/// A connection whose time is over.
#[derive(Debug, Deserialize)]
struct Connection {
    #[serde(default)]
    client: String,
    #[serde(default)]
    user: String,
    meta: Option<Meta>,
}

/// What Centrifugo keeps of a connection's answer, and hands back; its client does not see it.
#[derive(Debug, Deserialize)]
struct Meta {
    /// A digest of the channels.
    channels: String,
}

/// Lets requests with the shared secret pass alone. Guesses are slowed down.
pub(super) async fn authenticate(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(SECRET_HEADER).map(|value| value.as_bytes().to_owned());
    let known = match (given, &web.secrets().proxy) {
        (Some(given), Some(wanted)) => mac::equal(&given, wanted.expose_secret().as_bytes()),
        _ => false,
    };
    if known {
        return next.run(request).await;
    }
    web.refuse_guess(&request, "only Centrifugo may ask\n")
}

/// The user of a cookie, with the channels of the user's targets. What the client says of itself does not matter.
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

/// Whether the connection's user may listen to one more channel.
pub(super) async fn subscribe(State(web): State<Arc<Web>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Subscription>(&body) else {
        return (StatusCode::BAD_REQUEST, "not a subscription\n").into_response();
    };
    match web
        .lets_in(&Credentials::of(&headers), &asked.client, &asked.user, &asked.channel)
        .await
    {
        Ok(true) => result(&json!({})),
        Ok(false) => Json(json!({ "error": { "code": DENIED.code, "message": DENIED.message } })).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// Whether a connection may go on as it is.
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
