//! The routes of the server.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

use super::{Web, api, assets, emulation, health, leadership, live, proxy, socket, token};

/// The largest body in bytes: Centrifugo's requests have a few hundred, and data that a client adds to them is not used here.
const LARGEST_BODY: usize = 64 * 1024;
/// How long a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Creates the router.
pub(super) fn router(web: Arc<Web>) -> Router {
    let proxies = Router::new()
        .route("/centrifugo/connect", post(proxy::connect))
        .route("/centrifugo/subscribe", post(proxy::subscribe))
        .route("/centrifugo/refresh", post(proxy::refresh))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&web), proxy::authenticate));
    let api = Router::new()
        .route("/api/{method}", post(api::call))
        .route_layer(DefaultBodyLimit::max(api::LARGEST_BODY))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&web), leadership::required))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&web), api::authenticate));
    let emulation = Router::new()
        .route("/connection/http_stream", post(emulation::http_stream))
        .route("/connection/sse", get(emulation::sse))
        .route("/emulation", post(emulation::emulation))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&web), emulation::cross_origin));
    Router::new()
        .merge(proxies)
        .merge(api)
        .merge(emulation)
        .merge(live::routes(&web))
        .route("/token", post(token::token))
        .route("/connection/websocket", any(socket::open))
        .route("/instant.js", get(assets::script))
        .route("/instant.mjs", get(assets::module))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn(in_time))
        .with_state(web)
}

/// Ends a request that takes too long, and forbids caching of an answer without a `Cache-Control` header.
async fn in_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    let mut answer = answer.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response());
    answer
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    answer
}
