//! Who may subscribe to which channel: one answer for Centrifugo's proxies, for tokens, and for everything else that admits browsers.
//!
//! ```text
//!  cookie ──signature──▶ session ──database──▶ user, flags, groups ──▶ channels of targets
//!                                                        └──rule──▶ any other channel, refused by default
//! ```

pub mod cookie;
mod credentials;
mod decision;
mod error;
mod explain;
mod gather;
mod identity;
mod lookup;
pub mod probe;
mod rule;
mod session;
mod sessions;
pub mod token;
mod whoami;

use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::config::diagnostic::Diagnostics;
use gather::Gather;
use rule::Rule;
use sessions::Sessions;
use whoami::Whoami;

pub use credentials::{Credentials, Kept};
pub use error::Error;
pub use explain::{Asked, Explanation, Person};
pub use identity::{Identity, Who};

/// Connections for lookups: each takes well under a millisecond, and a burst of log-ins must leave the database to the site.
const CONNECTIONS: u32 = 4;
/// Concurrent queries of rules, which may be slow: fewer than there are connections, so that a log-in does not wait for a room.
pub(crate) const QUERIES: usize = 3;
/// The limit on a lookup's wait for a connection. Centrifugo waits three seconds for an answer.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1500);
/// The limit on a whole answer, also if the network swallows what is sent.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(2500);
/// The most sessions that one query looks up.
const BATCH: usize = 500;
/// The time limit of a statement, including the query of a channel rule.
const STATEMENT_TIMEOUT: &str = "1s";

/// The authority on users and channels. It holds a small pool of read-only connections, which are opened when first needed.
#[derive(Debug)]
pub struct Access {
    pool: PgPool,
    queries: Semaphore,
    sessions: Option<Sessions>,
    whoami: Option<Whoami>,
    prefix: String,
    anonymous: bool,
    rules: Vec<Rule>,
    gather: Gather,
}

/// What identifies a client.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The value of a session cookie.
    Session(SecretString),
    /// The key of a user, proved otherwise, as with a token.
    Key(String),
    /// The identity that the site itself has reported, until it is asked again.
    Known(Identity),
    /// Nothing: an anonymous visitor, and one as long as the connection lasts.
    Visitor,
}

impl Access {
    /// Creates the authority of a configuration, without connecting to the database yet.
    ///
    /// # Errors
    /// When the database URL cannot be read.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Self::named(config, "instant access")
    }

    /// Creates another one, for checking answers again: however busy the first is, this one has connections of its own.
    ///
    /// # Errors
    /// When the database URL cannot be read.
    pub fn for_revocation(config: &Config) -> Result<Self, Error> {
        Self::named(config, "instant revocation")
    }

    fn named(config: &Config, application: &str) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(config.database.url.expose_secret()).map_err(|_| Error::Url)?;
        let options = options.application_name(application).options([
            ("default_transaction_read_only", "on"),
            ("statement_timeout", STATEMENT_TIMEOUT),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            queries: Semaphore::new(QUERIES),
            whoami: match config.django.as_ref().and_then(|django| django.whoami.as_ref()) {
                Some(url) => Some(Whoami::new(url)?),
                None => None,
            },
            sessions: config.django.as_ref().map(Sessions::new),
            prefix: config.prefix.clone(),
            anonymous: config.anonymous,
            rules: config.channels.iter().cloned().map(Rule::new).collect(),
            gather: Gather::default(),
        })
    }

    /// Identifies the client with these credentials. One that is not logged in, for whatever reason, is anonymous, as for Django.
    ///
    /// # Errors
    /// When the database, or the site, does not answer in time.
    pub async fn identify(&self, given: &Credentials<'_>) -> Result<Who, Error> {
        if let Some(whoami) = &self.whoami {
            return self.in_time(Box::pin(whoami.ask(given))).await;
        }
        match self.proof(given) {
            None => Ok(Who::Visitor),
            Some(proof) => self.identify_proof(proof).await,
        }
    }

    /// Returns the session cookie among these credentials, whatever its value.
    #[must_use]
    pub fn proof(&self, given: &Credentials<'_>) -> Option<Proof> {
        let sessions = self.sessions.as_ref().filter(|_| self.whoami.is_none())?;
        sessions.value(&given.cookies).map(Proof::Session)
    }

    /// Returns the proof with which a connection of `identity` is checked again.
    #[must_use]
    pub fn recheck_proof(&self, given: &Credentials<'_>, identity: &Identity) -> Proof {
        if self.whoami.is_some() {
            return Proof::Known(identity.clone());
        }
        self.proof(given).unwrap_or_else(|| Proof::Key(identity.user.clone()))
    }

    /// Returns whether a request has credentials that could identify a user, whatever their values.
    #[must_use]
    pub fn has_proof(&self, given: &Credentials<'_>) -> bool {
        let asked = self.whoami.is_some() && (given.authorization.is_some() || !given.cookies.is_empty());
        asked || self.proof(given).is_some()
    }

    /// Returns those of these credentials that identify the client.
    #[must_use]
    pub fn kept(&self, given: &Credentials<'_>) -> Kept {
        if self.whoami.is_some() {
            return Kept {
                cookies: Some(given.cookies.join("; ")).filter(|cookies| !cookies.is_empty()),
                authorization: given.authorization.map(str::to_owned),
            };
        }
        Kept {
            cookies: self.sessions.as_ref().and_then(|sessions| sessions.named(&given.cookies)),
            authorization: None,
        }
    }

    /// Returns whether users are looked up in the database, which is then authoritative.
    #[must_use]
    pub const fn knows_users(&self) -> bool {
        self.sessions.is_some() && self.whoami.is_none()
    }

    /// Identifies the client with this proof.
    ///
    /// # Errors
    /// When the database does not answer in time.
    pub async fn identify_proof(&self, proof: Proof) -> Result<Who, Error> {
        self.in_time(self.gather.answer(self, proof)).await
    }

    /// Returns the user with this key, proved otherwise; `None` if there is none or it is not active.
    ///
    /// # Errors
    /// When the database does not answer in time.
    pub async fn user(&self, key: &str) -> Result<Option<Identity>, Error> {
        Ok(match self.identify_proof(Proof::Key(key.to_owned())).await? {
            Who::User(identity) => Some(identity),
            Who::Visitor => None,
        })
    }

    /// Identifies the clients with these proofs, with a few queries for hundreds of them.
    ///
    /// # Errors
    /// When the database does not answer in time.
    pub async fn identify_all(&self, proofs: &[&Proof]) -> Result<Vec<Who>, Error> {
        let mut all = Vec::with_capacity(proofs.len());
        for proofs in proofs.chunks(BATCH) {
            match &self.sessions {
                Some(sessions) => {
                    let found = self.in_time(sessions.identify(&self.pool, proofs)).await;
                    all.extend(found.map_err(|error| self.about_users(error))?);
                }
                None => all.extend(proofs.iter().map(|_| Who::Visitor)),
            }
        }
        Ok(all)
    }

    /// Returns the channels that the server subscribes `who` to; `None` if `who` may not connect at all.
    #[must_use]
    pub fn channels(&self, who: &Who) -> Option<Vec<String>> {
        let prefixed = |channel: String| format!("{}{channel}", self.prefix);
        match who {
            Who::Visitor if !self.anonymous => None,
            _ => Some(who.channels().into_iter().map(prefixed).collect()),
        }
    }

    /// Returns the problems of the channel rules' queries, which PostgreSQL prepares and does not run.
    ///
    /// # Errors
    /// When the database does not answer in time.
    pub async fn broken_rules(&self) -> Result<Diagnostics, Error> {
        let mut problems = Diagnostics::default();
        for rule in &self.rules {
            match self.in_time(rule.prepare(&self.pool)).await {
                Err(Error::Rule { source, .. }) => problems.push(rule.problem(&source)),
                prepared => prepared?,
            }
        }
        Ok(problems)
    }

    /// Maps the error of a lookup of users, who need not be in this database if the site identifies users (`whoami`).
    fn about_users(&self, error: Error) -> Error {
        match error {
            Error::NotApplied(source) if self.whoami.is_some() => Error::NoUsers(source),
            error => error,
        }
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(ANSWER_TIMEOUT, answer)
            .await
            .unwrap_or(Err(Error::TimedOut))
    }
}

/// Returns the current time, in seconds of the Unix epoch.
#[must_use]
pub fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}
