//! The HTTP server: it answers Centrifugo's proxies or connects browsers to the hub, gives them the client and tokens, and tells how
//! the relay is.

mod answer;
mod api;
mod assets;
mod backend;
mod connection;
mod credentials;
mod emulation;
mod health;
mod limit;
mod live;
mod origin;
mod proxy;
mod random;
mod registry;
mod revocation;
mod socket;
mod token;
mod visitor;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tokio_util::task::TaskTracker;

use crate::access::{self, Access, Error, Identity, Who};
use crate::config::{Config, Server};
use crate::hub::Hub;
use crate::hub::code::{self, Disconnect};
use crate::publisher::centrifugo::{self, Centrifugo};
use crate::relay::Metrics;
use backend::Backend;
use connection::Peer;
use credentials::Credentials;
use emulation::Emulated;
use health::Monitor;
use limit::Limiter;
use registry::Registry;

pub use connection::serve;
pub use live::Live;
pub use proxy::SECRET_HEADER;
pub use random::NoRandomness;

/// The largest body: Centrifugo's requests have some hundred bytes, and what a client adds to them has no use here.
const LARGEST_BODY: usize = 64 * 1024;
/// How long a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Whoever may not connect is not to try again until the page is loaded anew: Centrifugo's terminal codes begin at 4500.
const UNAUTHORIZED: Disconnect = Disconnect::new(4501, "not logged in");
/// The answer to a subscription that no rule allows. Centrifugo keeps the codes below 400 for itself, and the hub answers the same.
const DENIED: code::Error = code::Error::new(403, "permission denied");
/// How long an answer holds before it is asked for again.
const REFRESH: u64 = 300;

/// What the handlers share.
#[derive(Debug)]
pub struct Web {
    authorities: RwLock<Authorities>,
    origins: Vec<String>,
    secrets: Secrets,
    limiter: Limiter,
    registry: Registry,
    backend: Option<Backend>,
    hub: Option<Arc<Hub>>,
    emulated: Emulated,
    /// Connections, and the sockets that some of them have become.
    tasks: TaskTracker,
    monitor: Monitor,
    live: Live,
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

/// Who may listen.
#[derive(Debug)]
struct Authorities {
    /// For answers to browsers, and to Centrifugo.
    answers: Arc<Access>,
    /// For asking again what was answered.
    revocation: Arc<Access>,
}

impl Authorities {
    fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            answers: Arc::new(Access::new(config)?),
            revocation: Arc::new(Access::again(config)?),
        })
    }
}

/// What makes the other side known.
#[derive(Debug)]
struct Secrets {
    /// Of Centrifugo.
    proxy: Option<SecretString>,
    /// Of whoever signs tokens.
    token: Option<SecretString>,
    /// Of whoever calls the hub's API.
    api: Option<SecretString>,
}

impl Web {
    /// What the server of `config` needs. Browsers connect to `hub`, where there is no Centrifugo. Does not ask the database yet.
    ///
    /// # Errors
    /// When the database URL cannot be read, or no HTTP client can be made.
    pub fn new(
        config: &Config,
        server: &Server,
        hub: Option<Arc<Hub>>,
        metrics: Arc<Metrics>,
        live: Live,
    ) -> Result<Self, StartError> {
        let backend = match (&config.centrifugo, &hub) {
            (Some(server), _) => Some(Backend::Centrifugo(Arc::new(Centrifugo::configured(server)?))),
            (None, Some(hub)) => Some(Backend::Hub(Arc::clone(hub))),
            (None, None) => None,
        };
        Ok(Self {
            authorities: RwLock::new(Authorities::new(config)?),
            origins: server.allowed_origins.clone(),
            secrets: Secrets {
                proxy: config.centrifugo.as_ref().map(access::token::proxy_secret),
                token: access::token::secret(config),
                api: hub.as_ref().and_then(|_| access::token::hub_key(config)),
            },
            limiter: Limiter::default(),
            registry: Registry::default(),
            backend,
            hub,
            emulated: Emulated::default(),
            tasks: TaskTracker::new(),
            monitor: Monitor::new(metrics, config.database.url.clone(), server.ready_lag),
            live,
        })
    }

    /// The live page.
    #[must_use]
    pub const fn live(&self) -> &Live {
        &self.live
    }

    /// Puts the rules of a file that was read again in place.
    ///
    /// # Errors
    /// When the database URL cannot be read.
    pub fn reload(&self, config: &Config) -> Result<(), Error> {
        let authorities = Authorities::new(config)?;
        *self.authorities.write().unwrap_or_else(PoisonError::into_inner) = authorities;
        if let Some(hub) = &self.hub {
            hub.reload(config);
        }
        Ok(())
    }

    /// The answer to a request without the key that it needs. Guesses are slowed down.
    fn refuse_guess(&self, request: &Request, said: &'static str) -> Response {
        let peer = request.extensions().get::<Peer>().copied();
        if peer.is_some_and(|peer| self.limiter.admits(limit::client(peer, request.headers()), Instant::now())) {
            (StatusCode::UNAUTHORIZED, said).into_response()
        } else {
            (StatusCode::TOO_MANY_REQUESTS, "too many requests\n").into_response()
        }
    }

    fn access(&self) -> Arc<Access> {
        Arc::clone(&self.authorities.read().unwrap_or_else(PoisonError::into_inner).answers)
    }

    fn revocation(&self) -> Arc<Access> {
        Arc::clone(&self.authorities.read().unwrap_or_else(PoisonError::into_inner).revocation)
    }
}

/// The routes.
fn router(web: Arc<Web>) -> Router {
    let proxies = Router::new()
        .route("/centrifugo/connect", post(proxy::connect))
        .route("/centrifugo/subscribe", post(proxy::subscribe))
        .route("/centrifugo/refresh", post(proxy::refresh))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&web), proxy::authenticate));
    let api = Router::new()
        .route("/api/{method}", post(api::call))
        .route_layer(DefaultBodyLimit::max(api::LARGEST_BODY))
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

/// Cuts a request off that is sent too slowly, and forbids to keep an answer that does not say itself how long it may be kept.
async fn in_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    let mut answer = answer.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response());
    answer
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    answer
}

/// A short text that differs when the channels do.
fn digest(channels: &[String]) -> String {
    let hash = Sha256::digest(channels.join("\n"));
    URL_SAFE_NO_PAD.encode(&hash[..12])
}

/// Until when an answer about `who` holds, in seconds of the Unix epoch: for a second at least, also in a session's last one, or it
/// would be asked for again at once.
fn expiry(who: &Who) -> u64 {
    let now = access::now();
    match who {
        Who::User(Identity {
            expires: Some(expires), ..
        }) => (*expires).clamp(now + 1, now + REFRESH),
        Who::User(_) | Who::Visitor => now + REFRESH,
    }
}

/// The answer where there is none: try again.
fn unavailable(error: &Error) -> Response {
    told(error);
    (StatusCode::SERVICE_UNAVAILABLE, "try again\n").into_response()
}

/// Tells the operator alone why there is no answer.
fn told(error: &Error) {
    tracing::warn!(error = %chain(error), "it cannot be said who may listen; clients are told to try again");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_a_second_at_least_and_for_five_minutes_at_most() {
        let now = access::now();
        let holds = |expires| {
            let identity = Identity {
                user: "1".to_owned(),
                is_staff: false,
                is_superuser: false,
                groups: Vec::new(),
                expires,
            };
            expiry(&Who::User(identity)).saturating_sub(now)
        };
        assert!((1..=5).contains(&holds(Some(now))) && (1..=5).contains(&holds(Some(0))));
        assert_eq!(holds(Some(now + 100)), 100);
        assert!((300..=305).contains(&holds(Some(now + 1000))) && (300..=305).contains(&holds(None)));
    }
}
