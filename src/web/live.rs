//! `/live`: a page for the staff that shows events as they are published, and who is connected. Its assets are in the binary.

mod desk;
mod door;
mod feed;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use secrecy::SecretString;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::random::NoRandomness;
use super::trouble::unavailable;
use super::{Web, leadership};
use crate::config::Config;
use crate::mapping::Mapping;
use crate::publisher::Observers;
use door::Door;

/// The most viewers at a time; each is sent every event.
const VIEWERS: usize = 32;
/// Nothing from elsewhere, and nothing in the page but what is served next to it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The assets of the page.
const PAGE: &str = include_str!("live/page.html");
const SCRIPT: &str = include_str!("live/page.js");
const STYLE: &str = include_str!("live/page.css");

/// What the page shows, and what it can do.
#[derive(Debug)]
pub struct Live {
    observers: Observers,
    rules: watch::Receiver<Arc<Mapping>>,
    database: SecretString,
    related_ttl: Duration,
    site: Option<String>,
    door: Door,
    viewers: Arc<Semaphore>,
    closing: CancellationToken,
}

impl Live {
    /// Shows what `observers` see, until `closing`; dead letters are sent again with `rules`.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(
        config: &Config,
        observers: Observers,
        rules: watch::Receiver<Arc<Mapping>>,
        closing: CancellationToken,
    ) -> Result<Self, NoRandomness> {
        Ok(Self {
            observers,
            rules,
            database: config.database.url.clone(),
            related_ttl: config.related_ttl,
            site: config.site.clone(),
            door: Door::new()?,
            viewers: Arc::new(Semaphore::new(VIEWERS)),
            closing,
        })
    }

    /// The path of a link that admits one browser, once. Another invitation replaces this one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn invite(&self) -> Result<String, NoRandomness> {
        Ok(format!("/live?key={}", self.door.invite()?))
    }
}

/// The routes of the page.
pub(super) fn routes(web: &Arc<Web>) -> Router<Arc<Web>> {
    let acts = Router::new()
        .route("/live/dead/retry", post(desk::retry))
        .route_layer(middleware::from_fn_with_state(Arc::clone(web), leadership::required))
        .route("/live/send", post(desk::send))
        .route_layer(middleware::from_fn(door::same_origin));
    Router::new()
        .route("/live/events", get(feed::open))
        .route_layer(middleware::from_fn_with_state(Arc::clone(web), leadership::required))
        .route("/live/dead", get(desk::letters))
        .merge(acts)
        .route_layer(middleware::from_fn_with_state(Arc::clone(web), door::guard))
        .route("/live", get(page))
        .route(
            "/live/page.js",
            get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }),
        )
        .route("/live/page.css", get(|| async { asset("text/css; charset=utf-8", STYLE) }))
}

/// The page, or how to get access to it. A key comes as `?key=KEY`.
async fn page(State(web): State<Arc<Web>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let key = query.as_deref().and_then(|query| query.strip_prefix("key="));
    if let Some(cookie) = key.and_then(|key| web.live.door.redeem(key)) {
        // A page without the key in its address replaces this one.
        return (StatusCode::SEE_OTHER, [(LOCATION, "/live".to_owned()), (SET_COOKIE, cookie)]).into_response();
    }
    match door::enters(&web, &headers).await {
        Ok(true) => asset("text/html; charset=utf-8", PAGE),
        Ok(false) => (StatusCode::FORBIDDEN, door::REFUSAL).into_response(),
        Err(error) => unavailable(&error),
    }
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, HeaderValue); 4] = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, text).into_response()
}
