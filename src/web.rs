//! The HTTP server: it answers Centrifugo's proxies, gives tokens to browsers, and tells how the relay is.

mod connection;
mod health;
mod limit;
mod proxy;
mod registry;
mod revocation;
mod token;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::access::{self, Access, Error, Identity};
use crate::config::{Config, Server};
use crate::publisher::centrifugo::{self, Centrifugo};
use crate::relay::Metrics;
use health::Monitor;
use limit::Limiter;
use registry::Registry;

pub use connection::serve;
pub use proxy::SECRET_HEADER;

/// The largest body: Centrifugo's requests have some hundred bytes, and what a client adds to them has no use here.
const LARGEST_BODY: usize = 64 * 1024;
/// How long a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer holds before it is asked for again.
const REFRESH: u64 = 300;

/// What the handlers share.
#[derive(Debug)]
pub struct Web {
    access: RwLock<Arc<Access>>,
    origins: Vec<String>,
    secrets: Option<Secrets>,
    limiter: Limiter,
    registry: Registry,
    centrifugo: Option<Centrifugo>,
    monitor: Monitor,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody could be looked up.
    #[error(transparent)]
    Access(#[from] Error),
    /// Centrifugo's API could not be called.
    #[error(transparent)]
    Centrifugo(#[from] centrifugo::Error),
}

/// What Centrifugo and Instant share.
#[derive(Debug)]
struct Secrets {
    proxy: SecretString,
    token: SecretString,
}

impl Web {
    /// What the server of `config` needs. Does not ask the database yet.
    ///
    /// # Errors
    /// When the database URL cannot be read, or no HTTP client can be made.
    pub fn new(config: &Config, server: &Server, metrics: Arc<Metrics>) -> Result<Self, StartError> {
        Ok(Self {
            access: RwLock::new(Arc::new(Access::new(config)?)),
            origins: server.allowed_origins.clone(),
            secrets: config.centrifugo.as_ref().map(|server| Secrets {
                proxy: access::token::proxy_secret(server),
                token: access::token::secret(server),
            }),
            limiter: Limiter::default(),
            registry: Registry::default(),
            centrifugo: (config.centrifugo.as_ref())
                .map(|server| Centrifugo::new(&server.url, &server.api_key))
                .transpose()?,
            monitor: Monitor::new(metrics, config.database.url.clone(), server.ready_lag),
        })
    }

    /// Puts the rules of a file that was read again in place.
    ///
    /// # Errors
    /// When the database URL cannot be read.
    pub fn reload(&self, config: &Config) -> Result<(), Error> {
        let access = Arc::new(Access::new(config)?);
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = access;
        Ok(())
    }

    fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The routes.
fn router(web: Arc<Web>) -> Router {
    let proxies = Router::new()
        .route("/centrifugo/connect", post(proxy::connect))
        .route("/centrifugo/subscribe", post(proxy::subscribe))
        .route("/centrifugo/refresh", post(proxy::refresh))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&web), proxy::authenticate));
    Router::new()
        .merge(proxies)
        .route("/token", post(token::token))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn(in_time))
        .with_state(web)
}

/// Cuts a request off that is sent too slowly, and forbids to keep any answer.
async fn in_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    let mut answer = answer.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response());
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The `Cookie` headers.
fn cookies(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect()
}

/// The `Authorization` header.
fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()
}

/// A short text that differs when the channels do.
fn digest(channels: &[String]) -> String {
    let hash = Sha256::digest(channels.join("\n"));
    URL_SAFE_NO_PAD.encode(&hash[..12])
}

/// Until when an answer about `identity` holds, in seconds of the Unix epoch.
fn expiry(identity: &Identity) -> u64 {
    let refresh = access::now() + REFRESH;
    identity.expires.map_or(refresh, |expires| expires.min(refresh))
}

/// The answer where there is none: try again. The reason is for the operator alone.
fn unavailable(error: &Error) -> Response {
    tracing::warn!(error = %chain(error), "it cannot be said who may listen; clients are told to try again");
    (StatusCode::SERVICE_UNAVAILABLE, "try again\n").into_response()
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
