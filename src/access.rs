//! Who may hear which channel: one answer for Centrifugo's proxies, for tokens, and for whoever else lets browsers in.
//!
//! ```text
//!  cookie ──signature──▶ session ──database──▶ user, flags, groups ──▶ channels of targets
//!                                                        └──rule──▶ any other channel, refused by default
//! ```

pub mod cookie;
mod error;
mod gather;
mod identity;
mod lookup;
mod rule;
mod session;
pub mod token;

use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::config::diagnostic::Diagnostics;
use crate::config::{Config, Django, SessionEngine};
use crate::django::signing::{Keys, Signer};
use gather::Gather;
use lookup::{HashKeys, Login};
use rule::Rule;
use session::Session;

pub use error::Error;
pub use identity::{Identity, Who};

/// Connections for look-ups: each takes well under a millisecond, and a burst of log-ins must leave the database to the site.
const CONNECTIONS: u32 = 4;
/// How long a look-up waits for a connection. Centrifugo waits three seconds for an answer.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long a question may take in all, also where the network swallows what is sent.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(2500);
/// Sessions that are looked up at once.
const BATCH: usize = 500;
/// The time limit of a statement, which a channel's query shares.
const STATEMENT_TIMEOUT: &str = "1s";

/// The authority. It holds a small pool of connections, opened when first needed, on which nothing can be written.
#[derive(Debug)]
pub struct Access {
    pool: PgPool,
    sessions: Option<Sessions>,
    prefix: String,
    anonymous: bool,
    rules: Vec<Rule>,
    gather: Gather,
}

/// What somebody is known by.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The value of a session cookie.
    Session(SecretString),
    /// The key of a user who has proved to be that user, as with a token.
    Key(String),
}

/// How sessions are read.
#[derive(Debug)]
struct Sessions {
    cookie: String,
    kind: Kind,
    signer: Signer,
    hash_keys: HashKeys,
}

#[derive(Debug)]
enum Kind {
    Database,
    SignedCookies { age: Duration },
}

impl Access {
    /// The authority of a configuration. Does not ask the database yet.
    ///
    /// # Errors
    /// When the database URL cannot be read.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(config.database.url.expose_secret()).map_err(|_| Error::Url)?;
        let options = options.application_name("instant access").options([
            ("default_transaction_read_only", "on"),
            ("statement_timeout", STATEMENT_TIMEOUT),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            sessions: config.django.as_ref().map(Sessions::new),
            prefix: config.prefix.clone(),
            anonymous: config.anonymous,
            rules: config.channels.iter().cloned().map(Rule::new).collect(),
            gather: Gather::default(),
        })
    }

    /// Who sends these `Cookie` headers. Whoever is not logged in, for whatever reason, is a visitor, as for Django.
    ///
    /// # Errors
    /// When the database does not answer in time.
    pub async fn identify(&self, cookies: &[&str]) -> Result<Who, Error> {
        match self.proof(cookies) {
            None => Ok(Who::Visitor),
            Some(proof) => self.in_time(self.gather.answer(self, proof)).await,
        }
    }

    /// What these `Cookie` headers hold of a session, which may be anything.
    #[must_use]
    pub fn proof(&self, cookies: &[&str]) -> Option<Proof> {
        let sessions = self.sessions.as_ref()?;
        cookie::value(cookies, &sessions.cookie).map(|value| Proof::Session(SecretString::from(value)))
    }

    /// The part of these `Cookie` headers that says who sends them, for whoever keeps it while a connection lasts.
    #[must_use]
    pub fn session_cookie(&self, cookies: &[&str]) -> Option<String> {
        let name = &self.sessions.as_ref()?.cookie;
        cookie::value(cookies, name).map(|value| format!("{name}={value}"))
    }

    /// The user of this key, if there is one and it is active: for whoever has proved to be that user.
    ///
    /// # Errors
    /// When the database does not answer in time.
    pub async fn user(&self, key: &str) -> Result<Option<Identity>, Error> {
        let found = self.identify_all(&[Proof::Key(key.to_owned())]).await?.pop();
        Ok(match found {
            Some(Who::User(identity)) => Some(identity),
            _ => None,
        })
    }

    /// Who each of these is, with a few questions to the database for hundreds of them.
    ///
    /// # Errors
    /// When the database does not answer in time.
    pub async fn identify_all(&self, proofs: &[Proof]) -> Result<Vec<Who>, Error> {
        let mut all = Vec::with_capacity(proofs.len());
        for proofs in proofs.chunks(BATCH) {
            match &self.sessions {
                Some(sessions) => all.extend(self.in_time(self.batch(sessions, proofs)).await?),
                None => all.extend(proofs.iter().map(|_| Who::Visitor)),
            }
        }
        Ok(all)
    }

    /// The channels that `who` hears without asking; none: may not connect at all.
    #[must_use]
    pub fn channels(&self, who: &Who) -> Option<Vec<String>> {
        let prefixed = |channel: String| format!("{}{channel}", self.prefix);
        match who {
            Who::Visitor if !self.anonymous => None,
            _ => Some(who.channels().into_iter().map(prefixed).collect()),
        }
    }

    /// Whether `who` may listen to `channel`: one of their own, or one that a rule lets them into.
    ///
    /// # Errors
    /// When the database does not answer in time, or a rule's query is broken.
    pub async fn may_listen(&self, who: &Who, channel: &str) -> Result<bool, Error> {
        let Some(own) = self.channels(who) else {
            return Ok(false);
        };
        if own.iter().any(|own| own == channel) {
            return Ok(true);
        }
        for rule in &self.rules {
            if let Some(values) = rule.values(channel)
                && self.in_time(rule.lets_in(&self.pool, who, &values)).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The problems of the channel rules' queries, each of which PostgreSQL prepares and nothing runs.
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

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn batch(&self, sessions: &Sessions, proofs: &[Proof]) -> Result<Vec<Who>, Error> {
        let mut logins = Vec::new();
        let (mut keys, mut places) = (Vec::new(), Vec::new());
        for (place, proof) in proofs.iter().enumerate() {
            match (proof, &sessions.kind) {
                (Proof::Key(user), _) => logins.push(Login {
                    place,
                    user: user.clone(),
                    hash: None,
                    expires: None,
                }),
                (Proof::Session(value), Kind::SignedCookies { age }) => {
                    logins.extend(sessions.login(place, value.expose_secret(), Some(*age), None));
                }
                (Proof::Session(value), Kind::Database) if session::is_key(value.expose_secret()) => {
                    keys.push(value.expose_secret());
                    places.push(place);
                }
                (Proof::Session(_), Kind::Database) => {}
            }
        }
        if !keys.is_empty() {
            for (found, data, expires) in lookup::sessions(&self.pool, &keys).await? {
                let place = places.get(found).copied();
                logins.extend(place.and_then(|place| sessions.login(place, &data, None, Some(expires))));
            }
        }
        // PostgreSQL has no such text.
        logins.retain(|login| !login.user.contains('\0') && !login.hash.as_ref().is_some_and(|hash| hash.contains('\0')));
        let mut all = vec![Who::Visitor; proofs.len()];
        if logins.is_empty() {
            return Ok(all);
        }
        for (found, user) in lookup::users(&self.pool, &logins, &sessions.hash_keys).await? {
            if let Some(login) = logins.get(found)
                && user.is_active
                && (login.hash.is_none() || user.fits)
                && let Some(who) = all.get_mut(login.place)
            {
                *who = Who::User(user.identity(login.expires));
            }
        }
        Ok(all)
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(ANSWER_TIMEOUT, answer)
            .await
            .unwrap_or(Err(Error::TimedOut))
    }
}

impl Sessions {
    fn new(django: &Django) -> Self {
        let keys = Keys {
            current: django.secret_key.clone(),
            fallbacks: django.secret_key_fallbacks.clone(),
        };
        let (kind, salt) = match django.session_engine {
            SessionEngine::Database => (Kind::Database, session::DATABASE_SALT),
            SessionEngine::SignedCookies => {
                let age = django.session_cookie_age;
                (Kind::SignedCookies { age }, session::COOKIE_SALT)
            }
        };
        Self {
            cookie: django.session_cookie.clone(),
            kind,
            signer: Signer::new(&keys, salt),
            hash_keys: HashKeys::new(&keys),
        }
    }
}

impl Sessions {
    /// The log-in that signed session data holds, if it is one.
    fn login(&self, place: usize, signed: &str, age: Option<Duration>, expires: Option<u64>) -> Option<Login> {
        let payload = self.signer.unsign(signed, age, now());
        let payload = payload
            .inspect_err(|refusal| tracing::debug!(%refusal, "a session is refused"))
            .ok()?;
        let session = Session::parse(&payload)?;
        Some(Login {
            place,
            user: session.user,
            hash: Some(session.hash),
            expires,
        })
    }
}

/// Seconds of the Unix epoch.
#[must_use]
pub fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}
