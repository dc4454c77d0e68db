//! The hub's questions about one connection, answered.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::expiry::digest;
use super::registry::{FOREVER, Grant, Kind};
use super::unanswered::log_failure;
use super::{Credentials, DENIED, UNAUTHORIZED, Web};
use crate::access::token::{self, Invalid, Token};
use crate::access::{self, Kept, Proof};
use crate::hub::code::{Disconnect, Error, Refusal};
use crate::hub::{Admission, Authority, Permit};

/// The authority over one connection to the hub: its credentials, and the channels it was given.
#[derive(Debug)]
pub(super) struct HubAuthority {
    web: Arc<Web>,
    kept: Kept,
    /// A digest of the channels.
    given: Mutex<Option<String>>,
}

impl HubAuthority {
    pub(super) fn new(web: Arc<Web>, given: &Credentials<'_>) -> Self {
        Self {
            kept: web.access().kept(given),
            web,
            given: Mutex::default(),
        }
    }

    fn given(&self) -> MutexGuard<'_, Option<String>> {
        self.given.lock()
    }

    fn verify(&self, token: &str) -> Result<Token, Invalid> {
        let (secrets, now) = (self.web.secrets(), access::now());
        let answers = secrets.tokens.iter().map(|secret| token::verify(token, secret, now));
        let mut of_its_key = answers.filter(|answer| *answer != Err(Invalid::Forged));
        of_its_key.next().unwrap_or(Err(Invalid::Forged))
    }

    /// The user and channels of a connection token. Where users can be looked up, its user must still be active, and a token of ours must
    /// belong to a session that has not ended and name the user's current channels: a client that was disconnected because these changed
    /// comes back with the same token.
    async fn connect_with(&self, client: &str, token: &str) -> Result<Admission, Refusal> {
        let token = self.verify(token).map_err(|invalid| match invalid {
            Invalid::Expired => Refusal::Error(Error::TOKEN_EXPIRED),
            Invalid::Forged => Refusal::Disconnect(Disconnect::INVALID_TOKEN),
        })?;
        if !token.channel.is_empty() {
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        let access = self.web.access();
        if access.knows_users() && !token.sub.is_empty() {
            // Its client can get another one.
            let proof = self.proof(&token).ok_or(Refusal::Error(Error::TOKEN_EXPIRED))?;
            let has_session = matches!(proof, Proof::Session(_));
            let who = access.identify_proof(proof.clone()).await.map_err(|error| unknown(&error))?;
            let is_user = who.key() == token.sub;
            if !is_user && !has_session {
                return Err(UNAUTHORIZED.into());
            }
            let is_ours = token.iss == token::ISSUER;
            if !is_user || is_ours && access.channels(&who).as_ref() != Some(&token.channels) {
                return Err(Refusal::Error(Error::TOKEN_EXPIRED));
            }
            self.record(client, &token, proof);
        }
        *self.given() = Some(digest(&token.channels));
        Ok(Admission {
            user: token.sub,
            channels: token.channels,
            expires: (token.exp > 0).then_some(token.exp),
            is_token: true,
        })
    }

    /// What identifies the user of a token: the session that it was issued for, or the key if there is none. `None` if another process
    /// issued it for a session, of whose end this one would not learn.
    fn proof(&self, token: &Token) -> Option<Proof> {
        if token.sid.is_empty() || token.iss != token::ISSUER {
            return Some(Proof::Key(token.sub.clone()));
        }
        let key = super::token::key(&token.sub, &token.sid, &token.channels);
        self.web.registry.proof(&key)
    }

    /// Records a connection, so that it is closed when its session ends, its user is gone, or the channels of a token of ours no longer
    /// match. The channels that a script has signed are the script's responsibility; where the site itself identifies users, they cannot
    /// be looked up.
    fn record(&self, client: &str, token: &Token, proof: Proof) {
        let grant = Grant {
            kind: Kind::Connection(client.to_owned()),
            user: token.sub.clone(),
            proof,
            digest: (token.iss == token::ISSUER).then(|| digest(&token.channels)),
            subscriptions: BTreeSet::new(),
            until: FOREVER,
        };
        self.web.registry.record(client.to_owned(), grant);
    }
}

// The futures that query the database are boxed: tens of thousands of connections are idle without one.
impl Authority for HubAuthority {
    async fn connect(&self, client: &str, token: &str) -> Result<Admission, Refusal> {
        if !token.is_empty() {
            return Box::pin(self.connect_with(client, token)).await;
        }
        let given = self.kept.credentials();
        let opened = Box::pin(self.web.admit(&given, client))
            .await
            .map_err(|error| unknown(&error))?;
        let opened = opened.ok_or(UNAUTHORIZED)?;
        *self.given() = Some(digest(&opened.channels));
        Ok(Admission {
            user: opened.user,
            channels: opened.channels,
            expires: Some(opened.expires),
            is_token: false,
        })
    }

    async fn subscribe(&self, client: &str, user: &str, channel: &str, token: &str) -> Result<Permit, Refusal> {
        if !token.is_empty() {
            let token = self.verify(token).map_err(|invalid| match invalid {
                Invalid::Expired => Error::TOKEN_EXPIRED,
                Invalid::Forged => Error::PERMISSION_DENIED,
            })?;
            if token.channel.is_empty() {
                // A connection token; Centrifugo answers the same.
                return Err(Error::PERMISSION_DENIED.into());
            }
            if token.channel != channel || token.sub != user || !(token.client.is_empty() || token.client == client) {
                return Err(Disconnect::INVALID_TOKEN.into());
            }
            let expires = (token.exp > 0).then_some(token.exp);
            return Ok(Permit { expires });
        }
        let given = self.kept.credentials();
        match Box::pin(self.web.may_subscribe(&given, client, user, channel)).await {
            Ok(true) => Ok(Permit::default()),
            Ok(false) => Err(DENIED.into()),
            Err(error) => Err(unknown(&error)),
        }
    }

    async fn refresh(&self, client: &str, user: &str, token: Option<&str>) -> Result<Option<u64>, Refusal> {
        let given = self.given().clone();
        let Some(token) = token else {
            let credentials = self.kept.credentials();
            let renewed = Box::pin(self.web.renew(&credentials, client, user, given.as_deref())).await;
            return renewed.map_err(|error| unknown(&error));
        };
        let token = match self.verify(token) {
            Ok(token) => token,
            Err(Invalid::Expired) => return Ok(None),
            Err(Invalid::Forged) => return Err(Disconnect::INVALID_TOKEN.into()),
        };
        if token.sub != user || !token.channel.is_empty() {
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        if given != Some(digest(&token.channels)) {
            return Err(Disconnect::INSUFFICIENT_STATE.into());
        }
        if self.web.access().knows_users() && !token.sub.is_empty() {
            let Some(proof) = self.proof(&token) else { return Ok(None) };
            self.record(client, &token, proof);
        }
        // A token without an expiry is checked again in a year.
        let forever = access::now() + 365 * 24 * 60 * 60;
        Ok(Some(if token.exp > 0 { token.exp } else { forever }))
    }

    fn left(&self, client: &str, channel: &str) {
        self.web.registry.remove_subscription(client, channel);
    }

    fn closed(&self, client: &str) {
        self.web.registry.remove(client);
    }
}

/// The refusal when the answer cannot be determined: the client retries.
fn unknown(error: &access::Error) -> Refusal {
    log_failure(error);
    Error::INTERNAL.into()
}
