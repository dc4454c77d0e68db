//! The HTTP server: answers Centrifugo's proxy requests or connects browsers to the hub, serves the client and tokens, and reports
//! the relay's health.

mod answer;
mod api;
mod assets;
mod backend;
mod connection;
mod credentials;
mod emulation;
mod expiry;
mod health;
mod hub_authority;
mod leadership;
mod limit;
mod live;
mod origin;
mod proxy;
mod random;
mod registry;
mod revocation;
mod router;
mod socket;
mod token;
mod unanswered;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use parking_lot::RwLock;
use secrecy::SecretString;
use tokio_util::task::TaskTracker;

use crate::access::{self, Access, Credentials, Error};
use crate::config::{Config, Server};
use crate::hub::Hub;
use crate::hub::code::{Disconnect, Error as Refused};
use crate::publisher::centrifugo::{self, Centrifugo};
use crate::publisher::code;
use crate::relay::Metrics;
use backend::Backend;
use connection::Peer;
use emulation::Emulated;
use health::Monitor;
use limit::Limiter;
use registry::Registry;

pub use connection::serve;
pub use live::Live;
pub use proxy::SECRET_HEADER;
pub use random::NoRandomness;

/// Closes a connection that is not allowed, with a code in Centrifugo's terminal range (from 4500): the client must not reconnect
/// until the page is reloaded.
const UNAUTHORIZED: Disconnect = Disconnect::new(code::NOT_LOGGED_IN, "not logged in");
/// The answer to a subscription that no rule allows. Centrifugo reserves the codes below 400; the hub answers the same.
const DENIED: Refused = Refused::new(code::DENIED, "permission denied");

/// The state that the handlers share.
#[derive(Debug)]
pub struct Web {
    authorities: RwLock<Authorities>,
    origins: Vec<String>,
    limiter: Limiter,
    registry: Registry,
    backend: Option<Backend>,
    hub: Option<Arc<Hub>>,
    emulated: Emulated,
    /// Connections, and the sockets that they were upgraded to.
    tasks: TaskTracker,
    monitor: Monitor,
    live: Live,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Users could not be looked up.
    #[error(transparent)]
    Access(#[from] Error),
    /// No client for Centrifugo's API could be made.
    #[error(transparent)]
    Centrifugo(#[from] centrifugo::Error),
}

/// Who may subscribe, and the secrets that authenticate the other side.
#[derive(Debug)]
struct Authorities {
    /// Answers browsers and Centrifugo.
    answers: Arc<Access>,
    /// Checks earlier answers again.
    revocation: Arc<Access>,
    secrets: Arc<Secrets>,
}

impl Authorities {
    fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            answers: Arc::new(Access::new(config)?),
            revocation: Arc::new(Access::for_revocation(config)?),
            secrets: Arc::new(Secrets::of(config)),
        })
    }
}

/// The secrets that authenticate the other side.
#[derive(Debug)]
struct Secrets {
    /// Centrifugo's.
    proxy: Option<SecretString>,
    /// Those that tokens may be signed with; the first signs here.
    tokens: Vec<SecretString>,
    /// Those of callers of the hub's API.
    api: Vec<SecretString>,
}

impl Secrets {
    fn of(config: &Config) -> Self {
        Self {
            proxy: config.centrifugo.as_ref().map(access::token::proxy_secret),
            tokens: access::token::secrets(config),
            api: match config.centrifugo {
                Some(_) => Vec::new(),
                None => access::token::hub_keys(config),
            },
        }
    }
}

impl Web {
    /// Creates the state of the server in `config`. Without Centrifugo, browsers connect to `hub`. Does not query the database yet.
    ///
    /// # Errors
    /// When the database URL cannot be parsed, or no HTTP client can be made.
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

    /// Applies the rules of a reloaded file, and the secrets derived from its keys.
    ///
    /// # Errors
    /// When the database URL cannot be parsed.
    pub fn reload(&self, config: &Config) -> Result<(), Error> {
        let authorities = Authorities::new(config)?;
        *self.authorities.write() = authorities;
        if let Some(hub) = &self.hub {
            hub.reload(config);
        }
        Ok(())
    }

    /// The answer to a request without the required key. Guesses are rate-limited.
    fn refuse_guess(&self, request: &Request, text: &'static str) -> Response {
        let peer = request.extensions().get::<Peer>().copied();
        if peer.is_some_and(|peer| self.limiter.admits(limit::client(peer, request.headers()), Instant::now())) {
            (StatusCode::UNAUTHORIZED, text).into_response()
        } else {
            (StatusCode::TOO_MANY_REQUESTS, "too many requests\n").into_response()
        }
    }

    fn access(&self) -> Arc<Access> {
        Arc::clone(&self.authorities.read().answers)
    }

    fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.authorities.read().secrets)
    }

    fn revocation(&self) -> Arc<Access> {
        Arc::clone(&self.authorities.read().revocation)
    }
}
