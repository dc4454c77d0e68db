//! Who may connect, subscribe and go on: one answer for Centrifugo's proxies and for the hub.

use std::collections::BTreeSet;

use super::registry::{FOREVER, Kind, Open};
use super::validity::{digest, expiry};
use super::{Credentials, Web};
use crate::access::{Access, Error, Proof, Who};

/// A connection that is let in.
#[derive(Debug)]
pub(super) struct Opened {
    /// The user's key; empty for a visitor.
    pub(super) user: String,
    /// The channels of the user's targets.
    pub(super) channels: Vec<String>,
    /// When it is to be asked about again, in seconds of the Unix epoch.
    pub(super) expires: u64,
}

impl Web {
    /// The user of a cookie, with the channels of the user's targets; none: may not connect.
    pub(super) async fn admit(&self, given: &Credentials<'_>, client: &str) -> Result<Option<Opened>, Error> {
        let access = self.access();
        let who = access.identify(given).await?;
        let Some(channels) = access.channels(&who) else {
            return Ok(None);
        };
        self.remember(&access, given, &who, client);
        Ok(Some(Opened {
            user: who.key().to_owned(),
            channels,
            expires: expiry(&who),
        }))
    }

    /// Whether a connection of `user` may listen to one more channel.
    pub(super) async fn lets_in(&self, given: &Credentials<'_>, client: &str, user: &str, channel: &str) -> Result<bool, Error> {
        let access = self.access();
        let Some(who) = subscriber(&access, given, user).await? else {
            return Ok(false);
        };
        let allowed = access.may_subscribe(&who, channel).await?;
        if !allowed || client.is_empty() {
            return Ok(allowed);
        }
        let mut rooms = open(&access, given, &who, Kind::Rooms(client.to_owned()));
        if self.hub.is_some() {
            // The hub tells when the connection ends.
            rooms.until = FOREVER;
        }
        Ok(self.registry.subscribed(client, channel, rooms))
    }

    /// Until when a connection of `user` may go on, which was given channels with this digest; none: it may not. One that has won
    /// or lost channels is closed, so that its client connects anew, and so is one that an earlier process has answered: which rooms
    /// it is in, nobody knows.
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
        if who.key() != user || !same || !self.registry.knows(client) {
            return Ok(None);
        }
        self.remember(&access, given, &who, client);
        Ok(Some(expiry(&who)))
    }

    /// Remembers a connection, so that it can be cut.
    fn remember(&self, access: &Access, given: &Credentials<'_>, who: &Who, client: &str) {
        if !client.is_empty() {
            let connection = open(access, given, who, Kind::Connection(client.to_owned()));
            self.registry.opened(client.to_owned(), connection);
        }
    }
}

/// Who stands behind a connection of `user`, as the server knows it from an answer or a token of ours; none: no longer that user.
/// A cookie that came with the connection must still be that user's; without one, as with a token, the user must still be active.
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

fn open(access: &Access, given: &Credentials<'_>, who: &Who, kind: Kind) -> Open {
    Open {
        kind,
        user: who.key().to_owned(),
        proof: match who {
            Who::Visitor => Proof::Visitor,
            Who::User(identity) => access.recheck_proof(given, identity),
        },
        digest: Some(digest(&access.channels(who).unwrap_or_default())),
        rooms: BTreeSet::new(),
        until: expiry(who),
    }
}
