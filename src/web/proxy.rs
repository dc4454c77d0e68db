//! What Centrifugo asks: who connects, who subscribes, whether a connection may go on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connection::Peer;
use super::registry::Open;
use super::{Web, authorization, cookies, digest, expiry, limit, unavailable};
use crate::access::{Access, Error, Who};
use crate::django::mac;

/// The header by which Centrifugo is known.
pub const SECRET_HEADER: &str = "x-instant-secret";

/// Whoever may not connect is not to try again until the page is loaded anew: Centrifugo's terminal codes begin at 4500.
const UNAUTHORIZED: u16 = 4501;
/// Centrifugo's own code of a refused subscription.
const DENIED: u16 = 403;

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
    let wanted = web.secrets.as_ref().map(|secrets| &secrets.proxy);
    let known = match (given, wanted) {
        (Some(given), Some(wanted)) => mac::equal(&given, wanted.expose_secret().as_bytes()),
        _ => false,
    };
    if known {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Peer>().copied();
    let admitted = peer.is_some_and(|peer| web.limiter.admits(limit::client(peer, request.headers()), Instant::now()));
    if admitted {
        (StatusCode::UNAUTHORIZED, "only Centrifugo may ask\n").into_response()
    } else {
        (StatusCode::TOO_MANY_REQUESTS, "too many requests\n").into_response()
    }
}

/// The user of a cookie, with the channels of the user's targets. What the client says of itself does not matter.
pub(super) async fn connect(State(web): State<Arc<Web>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Opening>(&body) else {
        return (StatusCode::BAD_REQUEST, "not a connection\n").into_response();
    };
    let access = web.access();
    let who = match access.identify_request(&cookies(&headers), authorization(&headers)).await {
        Ok(who) => who,
        Err(error) => return unavailable(&error),
    };
    let Some(channels) = access.channels(&who) else {
        return Json(json!({ "disconnect": { "code": UNAUTHORIZED, "reason": "not logged in" } })).into_response();
    };
    remember(&web, &access, &cookies(&headers), &who, asked.client);
    let expire_at = match &who {
        Who::Visitor => 0,
        Who::User(identity) => expiry(identity),
    };
    let meta = json!({ "channels": digest(&channels) });
    result(&json!({ "user": who.key(), "expire_at": expire_at, "channels": channels, "meta": meta }))
}

/// Whether the connection's user may listen to one more channel.
pub(super) async fn subscribe(State(web): State<Arc<Web>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Subscription>(&body) else {
        return (StatusCode::BAD_REQUEST, "not a subscription\n").into_response();
    };
    let access = web.access();
    let allowed = match subscriber(&access, &headers, &asked.user).await {
        Ok(Some(who)) => {
            let allowed = access.may_listen(&who, &asked.channel).await;
            if let (Ok(true), Some(open)) = (&allowed, open(&access, &cookies(&headers), &who, &asked.client)) {
                web.registry.subscribed(&asked.client, &asked.channel, || open);
            }
            allowed
        }
        Ok(None) => Ok(false),
        Err(error) => Err(error),
    };
    match allowed {
        Ok(true) => result(&json!({})),
        Ok(false) => Json(json!({ "error": { "code": DENIED, "message": "permission denied" } })).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// Whether a connection may go on as it is. One that has won or lost channels is closed, so that its client connects anew.
pub(super) async fn refresh(State(web): State<Arc<Web>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(connection) = serde_json::from_slice::<Connection>(&body) else {
        return (StatusCode::BAD_REQUEST, "not a connection\n").into_response();
    };
    let access = web.access();
    let who = match access.identify_request(&cookies(&headers), authorization(&headers)).await {
        Ok(who) => who,
        Err(error) => return unavailable(&error),
    };
    let channels = access.channels(&who).unwrap_or_default();
    match &who {
        Who::User(identity)
            if identity.user == connection.user && connection.meta.is_some_and(|meta| meta.channels == digest(&channels)) =>
        {
            remember(&web, &access, &cookies(&headers), &who, connection.client);
            result(&json!({ "expire_at": expiry(identity) }))
        }
        _ => result(&json!({ "expired": true })),
    }
}

/// Who stands behind a connection of `user`, as Centrifugo knows it from an answer or a token of ours; none: no longer that user.
/// A cookie that came with the connection must still be that user's; without one, as with a token, the user must still be active.
async fn subscriber(access: &Access, headers: &HeaderMap, user: &str) -> Result<Option<Who>, Error> {
    let (cookies, authorization) = (cookies(headers), authorization(headers));
    let who = access.identify_request(&cookies, authorization).await?;
    if who.key() == user {
        return Ok(Some(who));
    }
    if user.is_empty() || access.has_proof(&cookies, authorization) {
        return Ok(None);
    }
    Ok(access.user(user).await?.map(Who::User))
}

/// Remembers a connection, so that it can be cut. A visitor has nothing that could be taken away.
fn remember(web: &Web, access: &Access, cookies: &[&str], who: &Who, client: String) {
    if let Some(open) = open(access, cookies, who, &client) {
        web.registry.opened(client, open);
    }
}

fn open(access: &Access, cookies: &[&str], who: &Who, client: &str) -> Option<Open> {
    let (Who::User(identity), false) = (who, client.is_empty()) else {
        return None;
    };
    Some(Open {
        client: Some(client.to_owned()),
        user: identity.user.clone(),
        proof: access.standing(cookies, identity),
        digest: digest(&access.channels(who).unwrap_or_default()),
        rooms: BTreeSet::new(),
        until: expiry(identity),
    })
}

fn result(value: &Value) -> Response {
    Json(json!({ "result": value })).into_response()
}
