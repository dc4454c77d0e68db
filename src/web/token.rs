//! `POST /token`: issues a connection token for the user of a cookie.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use secrecy::ExposeSecret;
use serde_json::json;

use super::connection::Peer;
use super::expiry::{digest, expiry};
use super::registry::{Grant, Kind};
use super::unanswered::unavailable;
use super::{Credentials, Web, limit, origin};
use crate::access::token::{self, Claims};
use crate::access::{self, Proof, Who};

/// The lifetime of a token in seconds. It cannot be revoked, and a client that was disconnected can connect again with it.
const LIFETIME: u64 = 60;

/// Answers with a token that is valid as long as the session, for a minute at most. A page of another site has another origin, which
/// browsers do not let it hide, and pages without an origin have no reason to ask.
pub(super) async fn token(State(web): State<Arc<Web>>, Extension(peer): Extension<Peer>, headers: HeaderMap) -> Response {
    if !web.limiter.admits(limit::client(peer, &headers), Instant::now()) {
        let wait = [(RETRY_AFTER, HeaderValue::from_static("1"))];
        return (StatusCode::TOO_MANY_REQUESTS, wait, "too many requests\n").into_response();
    }
    let Some(origin) = origin::allowed(&web, &headers) else {
        return (StatusCode::FORBIDDEN, "this origin is not allowed\n").into_response();
    };
    let mut answer = issue(&web, &headers).await;
    origin::add_cors_headers(answer.headers_mut(), origin);
    answer
}

async fn issue(web: &Web, headers: &HeaderMap) -> Response {
    let secrets = web.secrets();
    let Some(secret) = secrets.tokens.first() else {
        return (StatusCode::NOT_FOUND, "no server accepts tokens\n").into_response();
    };
    if !web.reaches_subscribers() {
        // The leader would not know of it after a log-out.
        return (StatusCode::SERVICE_UNAVAILABLE, "no connections are accepted for now\n").into_response();
    }
    let (access, given) = (web.access(), Credentials::of(headers));
    let who = match access.identify(&given).await {
        Ok(who) => who,
        Err(error) => return unavailable(&error),
    };
    if who == Who::Visitor {
        return (StatusCode::UNAUTHORIZED, "not logged in\n").into_response();
    }
    let exp = expiry(&who).min(access::now() + LIFETIME);
    let session = access.proof(&given);
    let sid = match &session {
        Some(Proof::Session(session)) => digest(&[session.expose_secret().to_owned()]),
        _ => String::new(),
    };
    let claims = Claims {
        iss: token::ISSUER,
        sub: who.key(),
        exp,
        iat: access::now(),
        channels: &access.channels(&who).unwrap_or_default(),
        sid: &sid,
    };
    match token::sign(&claims, secret) {
        Ok(token) => {
            if session.is_some_and(|session| !record(web, session, &claims)) {
                return (StatusCode::SERVICE_UNAVAILABLE, "too many connections\n").into_response();
            }
            Json(json!({ "token": token, "expires": exp })).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Records that connections may have been opened with a token, so that they can be closed when access is revoked. Returns whether there
/// was capacity for it.
fn record(web: &Web, session: Proof, claims: &Claims<'_>) -> bool {
    let grant = Grant {
        kind: Kind::Token(claims.channels.to_vec()),
        user: claims.sub.to_owned(),
        proof: session,
        digest: Some(digest(claims.channels)),
        subscriptions: BTreeSet::new(),
        until: claims.exp,
    };
    web.registry.record(key(claims.sub, claims.sid, claims.channels), grant)
}

/// The registry's key of a token. A token with other channels does not replace it: connections may still be opened with either.
pub(super) fn key(user: &str, session: &str, channels: &[String]) -> String {
    format!("token {user} {session} {}", digest(channels))
}
