//! `/live`: a page for staff that shows events as they are published, and who is connected. Its assets are embedded in the binary.

mod actions;
mod feed;
mod guests;

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
use super::unanswered::unavailable;
use super::{Web, leadership};
use crate::config::Config;
use crate::mapping::Mapping;
use crate::publisher::Observers;
use guests::Guests;

/// The most viewers at a time; each is sent every event.
const VIEWERS: usize = 32;
/// Allows no content of other origins, and no inline scripts or styles.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The page.
const PAGE: &str = include_str!("live/page.html");
const SCRIPT: &str = include_str!("live/page.js");
const STYLE: &str = include_str!("live/page.css");

/// The state of the live page.
#[derive(Debug)]
pub struct Live {
    observers: Observers,
    rules: watch::Receiver<Arc<Mapping>>,
    database: SecretString,
    related_ttl: Duration,
    site: Option<String>,
    guests: Guests,
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
            guests: Guests::new()?,
            viewers: Arc::new(Semaphore::new(VIEWERS)),
            closing,
        })
    }

    /// The path of a link that admits one browser, once. Another invitation replaces this one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn invite(&self) -> Result<String, NoRandomness> {
        Ok(format!("/live?key={}", self.guests.invite()?))
    }
}

/// The routes of the page.
pub(super) fn routes(web: &Arc<Web>) -> Router<Arc<Web>> {
    let actions = Router::new()
        .route("/live/dead/retry", post(actions::retry))
        .route_layer(middleware::from_fn_with_state(Arc::clone(web), leadership::required))
        .route("/live/send", post(actions::send))
        .route_layer(middleware::from_fn(guests::same_origin));
    Router::new()
        .route("/live/events", get(feed::open))
        .route_layer(middleware::from_fn_with_state(Arc::clone(web), leadership::required))
        .route("/live/dead", get(actions::letters))
        .merge(actions)
        .route_layer(middleware::from_fn_with_state(Arc::clone(web), guests::guard))
        .route("/live", get(page))
        .route(
            "/live/page.js",
            get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }),
        )
        .route("/live/page.css", get(|| async { asset("text/css; charset=utf-8", STYLE) }))
}

/// Serves the page, or says how to get access to it. A key is passed as `?key=KEY`.
async fn page(State(web): State<Arc<Web>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let key = query.as_deref().and_then(|query| query.strip_prefix("key="));
    if let Some(cookie) = key.and_then(|key| web.live.guests.redeem(key)) {
        // A page without the key in its address replaces this one.
        return (StatusCode::SEE_OTHER, [(LOCATION, "/live".to_owned()), (SET_COOKIE, cookie)]).into_response();
    }
    match guests::may_view(&web, &headers).await {
        Ok(true) => asset("text/html; charset=utf-8", PAGE),
        Ok(false) => (StatusCode::FORBIDDEN, guests::REFUSAL).into_response(),
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
