//! The access that answers have granted, so that it can be revoked.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::access::Proof;
use crate::hub::AFTER_TOKEN;

/// The most connections and tokens that are recorded; further connections are closed at their next refresh.
const LARGEST: usize = 200_000;
/// The most subscriptions of one connection that are recorded; further ones are refused. Servers limit a client to 128 at once, and
/// Centrifugo does not report when one ends.
const SUBSCRIPTIONS: usize = 1024;
/// Seconds after which a connection that should have been refreshed counts as gone: servers repeat a refresh that failed after 60 s.
const UNREFRESHED: u64 = 150;
/// The expiry of a grant without one; adding a few seconds does not overflow.
pub(super) const FOREVER: u64 = u64::MAX / 2;

/// The grants: connections by their id, and tokens.
#[derive(Debug, Default)]
pub(super) struct Registry {
    grants: Mutex<HashMap<String, Arc<Grant>>>,
}

/// What a grant was made to.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A connection that this process has admitted, by its id.
    Connection(String),
    /// A connection of which only these subscriptions are known, by its id: an earlier process or its token has admitted it.
    Subscriptions(String),
    /// A token with these channels. Centrifugo does not report which connections it has opened.
    Token(Vec<String>),
}

/// The access that an answer has granted.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    /// What it was made to.
    pub(super) kind: Kind,
    /// The user's key.
    pub(super) user: String,
    /// What identified the user.
    pub(super) proof: Proof,
    /// A digest of the channels that the server subscribed to; `None` if a script has signed them and they are not those of the user's
    /// targets. Of a token: of the channels that the user had when its connections were last closed.
    pub(super) digest: Option<String>,
    /// The channels that rules have allowed.
    pub(super) subscriptions: BTreeSet<String>,
    /// When the answer expires, in seconds of the Unix epoch; [`FOREVER`] if the end of the connection is reported.
    pub(super) until: u64,
}

impl Registry {
    /// Records a grant; a connection that is refreshed keeps its subscriptions. Returns whether there was capacity for it.
    pub(super) fn record(&self, key: String, mut grant: Grant) -> bool {
        let mut all = self.lock();
        if let Some(known) = all.get_mut(&key) {
            grant.subscriptions = std::mem::take(&mut Arc::make_mut(known).subscriptions);
        } else if !has_capacity(all.len(), &grant) {
            return false;
        }
        all.insert(key, Arc::new(grant));
        true
    }

    /// Records a subscription; `grant` is its connection, if this process has not admitted that. Returns whether there was capacity for
    /// it; without a record it could not be ended.
    pub(super) fn record_subscription(&self, key: &str, channel: &str, grant: Grant) -> bool {
        let mut all = self.lock();
        if !all.contains_key(key) && !has_capacity(all.len(), &grant) {
            return false;
        }
        let known = Arc::make_mut(all.entry(key.to_owned()).or_insert_with(|| Arc::new(grant)));
        if known.subscriptions.len() >= SUBSCRIPTIONS && !known.subscriptions.contains(channel) {
            return false;
        }
        known.subscriptions.insert(channel.to_owned());
        true
    }

    /// Whether this process has admitted a connection, so that all of its subscriptions are recorded.
    pub(super) fn has_connection(&self, key: &str) -> bool {
        self.lock()
            .get(key)
            .is_some_and(|grant| matches!(grant.kind, Kind::Connection(_)))
    }

    /// What identified the user of a token; `None` if this process did not issue it.
    pub(super) fn proof(&self, key: &str) -> Option<Proof> {
        self.lock().get(key).map(|grant| grant.proof.clone())
    }

    /// Records that the connections of a token were closed because its user now has channels with this digest.
    pub(super) fn set_digest(&self, key: &str, digest: String) {
        if let Some(grant) = self.lock().get_mut(key) {
            Arc::make_mut(grant).digest = Some(digest);
        }
    }

    /// All grants that may still be in use at `now`, with their keys. The others are dropped.
    pub(super) fn all(&self, now: u64) -> Vec<(String, Arc<Grant>)> {
        let mut all = self.lock();
        all.retain(|_, grant| grant.may_be_open(now));
        all.iter().map(|(key, grant)| (key.clone(), Arc::clone(grant))).collect()
    }

    /// Drops a connection that has ended.
    pub(super) fn remove(&self, key: &str) {
        self.lock().remove(key);
    }

    /// Drops a subscription that has ended.
    pub(super) fn remove_subscription(&self, key: &str, channel: &str) {
        if let Some(grant) = self.lock().get_mut(key) {
            Arc::make_mut(grant).subscriptions.remove(channel);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Grant>>> {
        self.grants.lock()
    }
}

impl Grant {
    /// The connection's id; `None` for a token.
    pub(super) fn client(&self) -> Option<&str> {
        match &self.kind {
            Kind::Connection(client) | Kind::Subscriptions(client) => Some(client),
            Kind::Token(_) => None,
        }
    }

    /// Whether it must be closed at `now`, so that its client reconnects and subscribes again: nothing else shows that it still exists.
    pub(super) fn is_over(&self, now: u64) -> bool {
        matches!(self.kind, Kind::Subscriptions(_)) && self.until < now
    }

    fn may_be_open(&self, now: u64) -> bool {
        match self.kind {
            Kind::Connection(_) => self.until + UNREFRESHED >= now,
            Kind::Subscriptions(_) => true,
            Kind::Token(_) => self.until + AFTER_TOKEN >= now,
        }
    }
}

/// Whether another grant fits. Anonymous visitors leave half of the capacity to users.
fn has_capacity(taken: usize, grant: &Grant) -> bool {
    taken < if grant.user.is_empty() { LARGEST / 2 } else { LARGEST }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(until: u64) -> Grant {
        Grant {
            kind: Kind::Connection("c".to_owned()),
            user: "1".to_owned(),
            proof: Proof::Key("1".to_owned()),
            digest: None,
            subscriptions: BTreeSet::new(),
            until,
        }
    }

    fn subscriptions(until: u64) -> Grant {
        Grant {
            kind: Kind::Subscriptions("c".to_owned()),
            ..grant(until)
        }
    }

    #[test]
    fn a_refreshed_connection_keeps_its_subscriptions_and_one_that_is_not_is_dropped() {
        let registry = Registry::default();
        registry.record("c".to_owned(), grant(100));
        registry.record("d".to_owned(), grant(100));
        assert!(registry.record_subscription("c", "room:1", grant(0)) && registry.record_subscription("d", "room:2", grant(100)));
        registry.record("c".to_owned(), grant(400));
        assert_eq!(registry.all(100 + UNREFRESHED).len(), 2);
        let all = registry.all(101 + UNREFRESHED);
        assert_eq!(all.len(), 1);
        assert!(all[0].1.subscriptions.contains("room:1"));
        registry.remove_subscription("c", "room:1");
        assert!(registry.all(101 + UNREFRESHED)[0].1.subscriptions.is_empty());
        registry.remove("c");
        assert!(registry.all(0).is_empty());
    }

    #[test]
    fn a_connection_is_known_by_its_answer_and_not_by_a_subscription() {
        let registry = Registry::default();
        assert!(registry.record_subscription("c", "room:1", subscriptions(100)));
        assert!(!registry.has_connection("c"));
        registry.record("c".to_owned(), grant(100));
        assert!(registry.has_connection("c"));
    }

    #[test]
    fn a_token_is_dropped_with_the_last_connection_that_it_may_have_opened() {
        let registry = Registry::default();
        let token = Grant {
            kind: Kind::Token(Vec::new()),
            ..grant(100)
        };
        registry.record("token".to_owned(), token);
        assert_eq!(registry.all(125).len(), 1);
        assert!(registry.all(126).is_empty());
    }

    #[test]
    fn subscriptions_are_checked_until_their_connection_is_closed_or_its_end_is_reported() {
        let registry = Registry::default();
        assert!(
            registry.record_subscription("c", "room:1", subscriptions(100))
                && registry.record_subscription("d", "room:1", subscriptions(FOREVER))
        );
        // A later subscription does not postpone the end of a connection that was not admitted here.
        assert!(registry.record_subscription("c", "room:2", subscriptions(400)));
        assert_eq!(registry.all(10_000).len(), 2);
        let (_, grant) = registry.all(101).into_iter().find(|(key, _)| key == "c").unwrap();
        assert!(!grant.is_over(100) && grant.is_over(101));
        assert_eq!(grant.subscriptions.len(), 2);
        assert!(
            registry
                .all(10_000)
                .iter()
                .any(|(key, grant)| key == "d" && !grant.is_over(10_000))
        );
        registry.remove("c");
        registry.remove("d");
        assert!(registry.all(101).is_empty());
    }
}
