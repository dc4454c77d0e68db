//! Identification by sessions: from the cookies' values to the users, hundreds at a time.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;

use super::lookup::{self, HashKeys, Login};
use super::session::{self, Session};
use super::{Error, Proof, Who, cookie, now};
use crate::config::{Django, SessionEngine};
use crate::django::signing::{Keys, Signer};

/// The reader of sessions.
#[derive(Debug)]
pub(super) struct Sessions {
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

impl Sessions {
    pub(super) fn new(django: &Django) -> Self {
        let keys = Keys {
            // Without a key there is `whoami`, and no signature is verified.
            current: django.secret_key.clone().unwrap_or_default(),
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

    /// Returns the value of the session cookie in these `Cookie` headers.
    pub(super) fn value(&self, cookies: &[&str]) -> Option<SecretString> {
        cookie::value(cookies, &self.cookie).map(SecretString::from)
    }

    /// Returns only the session cookie of these `Cookie` headers.
    pub(super) fn named(&self, cookies: &[&str]) -> Option<String> {
        cookie::value(cookies, &self.cookie).map(|value| format!("{}={value}", self.cookie))
    }

    /// Identifies the clients with these proofs, with one query for all sessions and one for all users.
    pub(super) async fn identify(&self, pool: &PgPool, proofs: &[&Proof]) -> Result<Vec<Who>, Error> {
        let mut logins = Vec::new();
        let (mut keys, mut places) = (Vec::new(), Vec::new());
        for (place, proof) in proofs.iter().enumerate() {
            match (proof, &self.kind) {
                (Proof::Key(user), _) => logins.push(Login {
                    place,
                    user: user.clone(),
                    hash: None,
                    expires: None,
                }),
                (Proof::Session(value), Kind::SignedCookies { age }) => {
                    logins.extend(self.login(place, value.expose_secret(), Some(*age), None));
                }
                (Proof::Session(value), Kind::Database) if session::is_key(value.expose_secret()) => {
                    keys.push(value.expose_secret());
                    places.push(place);
                }
                (Proof::Session(_), Kind::Database) | (Proof::Known(_) | Proof::Visitor, _) => {}
            }
        }
        if !keys.is_empty() {
            for (found, data, expires) in lookup::sessions(pool, &keys).await? {
                let place = places.get(found).copied();
                logins.extend(place.and_then(|place| self.login(place, &data, None, Some(expires))));
            }
        }
        // PostgreSQL's texts cannot contain a zero byte.
        logins.retain(|login| !login.user.contains('\0') && !login.hash.as_ref().is_some_and(|hash| hash.contains('\0')));
        let known = proofs.iter().map(|proof| match proof {
            Proof::Known(identity) => Who::User(identity.clone()),
            _ => Who::Visitor,
        });
        let mut all: Vec<Who> = known.collect();
        if logins.is_empty() {
            return Ok(all);
        }
        for (found, user) in lookup::users(pool, &logins, &self.hash_keys).await? {
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

    /// Returns the log-in that signed session data holds, if any.
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
