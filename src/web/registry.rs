//! The connections that answers have opened, so that what is revoked can be cut.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::access::Proof;
use crate::hub::AFTER_TOKEN;

/// Connections that are remembered; further ones are cut at their next refresh.
const LARGEST: usize = 200_000;
/// Rooms of one connection that are remembered; whoever wants more is refused. Servers keep to 128 at once, and Centrifugo does not
/// tell when one is left.
const ROOMS: usize = 1024;
/// Seconds after which a connection that has not been refreshed is no more.
const UNREFRESHED: u64 = 60;
/// The end of what has none: another second can be added to it.
pub(super) const FOREVER: u64 = u64::MAX / 2;

/// The connections, by Centrifugo's id, and tokens.
#[derive(Debug, Default)]
pub(super) struct Registry {
    open: Mutex<HashMap<String, Arc<Open>>>,
}

/// What is remembered.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A connection that this process has let in, by its id.
    Connection(String),
    /// A connection of which nothing but these rooms is known, by its id: an earlier process or its token has let it in.
    Rooms(String),
    /// A token with these channels. Centrifugo does not tell which connections it has opened.
    Token(Vec<String>),
}

/// What one of them was given.
#[derive(Clone, Debug)]
pub(super) struct Open {
    /// What it is.
    pub(super) kind: Kind,
    /// The user's key.
    pub(super) user: String,
    /// What the user was known by.
    pub(super) proof: Proof,
    /// A digest of the channels that the server subscribed to, where these are the user's targets' and not what a script has signed;
    /// of a token, of those that the user had when its connections were cut last.
    pub(super) digest: Option<String>,
    /// The channels that rules let the user into.
    pub(super) rooms: BTreeSet<String>,
    /// When the answer ends, in seconds of the Unix epoch; [`FOREVER`] where it is told when the connection does.
    pub(super) until: u64,
}

impl Registry {
    /// Remembers a connection; one that is refreshed keeps its rooms.
    pub(super) fn opened(&self, key: String, mut open: Open) {
        let mut all = self.lock();
        if let Some(known) = all.get_mut(&key) {
            open.rooms = std::mem::take(&mut Arc::make_mut(known).rooms);
        } else if !has_room(all.len(), &open) {
            return;
        }
        all.insert(key, Arc::new(open));
    }

    /// Remembers a subscription; `open` is its connection, where this process has not let that in. False: there is no room for it,
    /// so that it could not be ended.
    pub(super) fn subscribed(&self, key: &str, channel: &str, open: Open) -> bool {
        let mut all = self.lock();
        if !all.contains_key(key) && !has_room(all.len(), &open) {
            return false;
        }
        let known = Arc::make_mut(all.entry(key.to_owned()).or_insert_with(|| Arc::new(open)));
        if known.rooms.len() >= ROOMS && !known.rooms.contains(channel) {
            return false;
        }
        known.rooms.insert(channel.to_owned());
        true
    }

    /// Whether this process has let a connection in, and therefore knows all of its rooms.
    pub(super) fn knows(&self, key: &str) -> bool {
        self.lock()
            .get(key)
            .is_some_and(|open| matches!(open.kind, Kind::Connection(_)))
    }

    /// What the user of a token was known by, where this process has given that out.
    pub(super) fn proof(&self, key: &str) -> Option<Proof> {
        self.lock().get(key).map(|open| open.proof.clone())
    }

    /// Remembers that the connections of a token were cut, since its user has channels of this digest now.
    pub(super) fn told(&self, key: &str, digest: String) {
        if let Some(open) = self.lock().get_mut(key) {
            Arc::make_mut(open).digest = Some(digest);
        }
    }

    /// All that may still be open at `now`, with their keys. The others are forgotten.
    pub(super) fn all(&self, now: u64) -> Vec<(String, Arc<Open>)> {
        let mut all = self.lock();
        all.retain(|_, open| open.may_be_open(now));
        all.iter().map(|(key, open)| (key.clone(), Arc::clone(open))).collect()
    }

    /// Forgets a connection that was cut.
    pub(super) fn closed(&self, key: &str) {
        self.lock().remove(key);
    }

    /// Forgets a subscription that was ended.
    pub(super) fn left(&self, key: &str, channel: &str) {
        if let Some(open) = self.lock().get_mut(key) {
            Arc::make_mut(open).rooms.remove(channel);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Open>>> {
        self.open.lock()
    }
}

impl Open {
    /// The connection's id; none for a token.
    pub(super) fn client(&self) -> Option<&str> {
        match &self.kind {
            Kind::Connection(client) | Kind::Rooms(client) => Some(client),
            Kind::Token(_) => None,
        }
    }

    /// Whether it is to be cut at `now`, so that its client comes again and says what it hears: nothing else tells that it goes on.
    pub(super) fn is_over(&self, now: u64) -> bool {
        matches!(self.kind, Kind::Rooms(_)) && self.until < now
    }

    fn may_be_open(&self, now: u64) -> bool {
        match self.kind {
            Kind::Connection(_) => self.until + UNREFRESHED >= now,
            Kind::Rooms(_) => true,
            Kind::Token(_) => self.until + AFTER_TOKEN >= now,
        }
    }
}

/// Visitors leave half of the places to users.
fn has_room(taken: usize, open: &Open) -> bool {
    taken < if open.user.is_empty() { LARGEST / 2 } else { LARGEST }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(until: u64) -> Open {
        Open {
            kind: Kind::Connection("c".to_owned()),
            user: "1".to_owned(),
            proof: Proof::Key("1".to_owned()),
            digest: None,
            rooms: BTreeSet::new(),
            until,
        }
    }

    fn rooms(until: u64) -> Open {
        Open {
            kind: Kind::Rooms("c".to_owned()),
            ..open(until)
        }
    }

    #[test]
    fn a_refreshed_connection_keeps_its_rooms_and_one_that_is_not_is_forgotten() {
        let registry = Registry::default();
        registry.opened("c".to_owned(), open(100));
        registry.opened("d".to_owned(), open(100));
        assert!(registry.subscribed("c", "room:1", open(0)) && registry.subscribed("d", "room:2", open(100)));
        registry.opened("c".to_owned(), open(200));
        assert_eq!(registry.all(160).len(), 2);
        let all = registry.all(161);
        assert_eq!(all.len(), 1);
        assert!(all[0].1.rooms.contains("room:1"));
        registry.left("c", "room:1");
        assert!(registry.all(161)[0].1.rooms.is_empty());
        registry.closed("c");
        assert!(registry.all(0).is_empty());
    }

    #[test]
    fn a_connection_is_known_by_its_answer_and_not_by_a_subscription() {
        let registry = Registry::default();
        assert!(registry.subscribed("c", "room:1", rooms(100)));
        assert!(!registry.knows("c"));
        registry.opened("c".to_owned(), open(100));
        assert!(registry.knows("c"));
    }

    #[test]
    fn a_token_is_forgotten_with_the_last_connection_that_it_may_have_opened() {
        let registry = Registry::default();
        let token = Open {
            kind: Kind::Token(Vec::new()),
            ..open(100)
        };
        registry.opened("token".to_owned(), token);
        assert_eq!(registry.all(125).len(), 1);
        assert!(registry.all(126).is_empty());
    }

    #[test]
    fn rooms_are_looked_at_until_their_connection_is_cut_or_tells_its_end() {
        let registry = Registry::default();
        assert!(registry.subscribed("c", "room:1", rooms(100)) && registry.subscribed("d", "room:1", rooms(FOREVER)));
        // What is subscribed to later does not put off the end of what is not known.
        assert!(registry.subscribed("c", "room:2", rooms(400)));
        assert_eq!(registry.all(10_000).len(), 2);
        let (_, open) = registry.all(101).into_iter().find(|(key, _)| key == "c").unwrap();
        assert!(!open.is_over(100) && open.is_over(101));
        assert_eq!(open.rooms.len(), 2);
        assert!(
            registry
                .all(10_000)
                .iter()
                .any(|(key, open)| key == "d" && !open.is_over(10_000))
        );
        registry.closed("c");
        registry.closed("d");
        assert!(registry.all(101).is_empty());
    }
}
