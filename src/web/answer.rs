//! Who may connect, subscribe and stay connected: the same answers for Centrifugo's proxies and for the hub.

use std::collections::BTreeSet;

use super::expiry::{digest, expiry};
use super::registry::{FOREVER, Grant, Kind};
use super::{Credentials, Web};
use crate::access::{Access, Error, Proof, Who};

/// An admitted connection.
#[derive(Debug)]
pub(super) struct Opened {
    /// The user's key; empty for an anonymous visitor.
    pub(super) user: String,
    /// The channels of the user's targets.
    pub(super) channels: Vec<String>,
    /// When it must be checked again, in seconds of the Unix epoch.
    pub(super) expires: u64,
}

impl Web {
    /// The user of a cookie, with the channels of the user's targets; `None` if the connection is not allowed.
    pub(super) async fn admit(&self, given: &Credentials<'_>, client: &str) -> Result<Option<Opened>, Error> {
        let access = self.access();
        let who = access.identify(given).await?;
        let Some(channels) = access.channels(&who) else {
            return Ok(None);
        };
        self.record(&access, given, &who, client);
        Ok(Some(Opened {
            user: who.key().to_owned(),
            channels,
            expires: expiry(&who),
        }))
    }

    /// Whether a connection of `user` may subscribe to another channel.
    pub(super) async fn may_subscribe(
        &self,
        given: &Credentials<'_>,
        client: &str,
        user: &str,
        channel: &str,
    ) -> Result<bool, Error> {
        let access = self.access();
        let Some(who) = subscriber(&access, given, user).await? else {
            return Ok(false);
        };
        let allowed = access.may_subscribe(&who, channel).await?;
        if !allowed || client.is_empty() {
            return Ok(allowed);
        }
        let subscription = self.grant(&access, given, &who, Kind::Subscriptions(client.to_owned()));
        Ok(self.registry.record_subscription(client, channel, subscription))
    }

    /// Until when a connection of `user` may stay open that was given channels with this digest; `None` if it may not. One that has
    /// gained or lost channels is closed, so that its client connects again, and so is one that an earlier process admitted: its
    /// subscriptions are not known.
    pub(super) async fn renew(
        &self,
        given: &Credentials<'_>,
        client: &str,
        user: &str,
        channels_given: Option<&str>,
    ) -> Result<Option<u64>, Error> {
        let access = self.access();
        let who = access.identify(given).await?;
        let same = access
            .channels(&who)
            .is_some_and(|channels| channels_given == Some(&*digest(&channels)));
        if who.key() != user || !same || !self.registry.has_connection(client) {
            return Ok(None);
        }
        self.record(&access, given, &who, client);
        Ok(Some(expiry(&who)))
    }

    /// Records a connection, so that it can be closed when access is revoked.
    fn record(&self, access: &Access, given: &Credentials<'_>, who: &Who, client: &str) {
        if !client.is_empty() {
            let connection = self.grant(access, given, who, Kind::Connection(client.to_owned()));
            self.registry.record(client.to_owned(), connection);
        }
    }

    /// The access that is granted to `who`.
    fn grant(&self, access: &Access, given: &Credentials<'_>, who: &Who, kind: Kind) -> Grant {
        Grant {
            kind,
            user: who.key().to_owned(),
            proof: match who {
                Who::Visitor => Proof::Visitor,
                Who::User(identity) => access.recheck_proof(given, identity),
            },
            digest: Some(digest(&access.channels(who).unwrap_or_default())),
            subscriptions: BTreeSet::new(),
            // The hub reports the end of the connection.
            until: if self.hub.is_some() { FOREVER } else { expiry(who) },
        }
    }
}

/// The identity behind a connection of `user`, as named by an answer or a token of ours; `None` if it is no longer that user. A cookie
/// that came with the connection must still be that user's; without one, as with a token, the user must still be active.
async fn subscriber(access: &Access, given: &Credentials<'_>, user: &str) -> Result<Option<Who>, Error> {
    let who = access.identify(given).await?;
    if who.key() == user {
        return Ok(Some(who));
    }
    if user.is_empty() || access.has_proof(given) {
        return Ok(None);
    }
    Ok(access.user(user).await?.map(Who::User))
}
