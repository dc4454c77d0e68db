//! Collapse: many changes of one transaction that become one publication.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Mapping, Origin, Outcome, Publication, RuleName};
use crate::change::Operation;

/// The bytes that may be held until a window ends. Beyond them the oldest is published as it stands, so that memory stays bounded
/// however many channels a transaction speaks to.
const HELD: usize = 4 << 20;
/// The keys that an event names; who hears of more changes has to load everything anyway.
const KEYS: u64 = 1_000;

/// What a publication brings along where it may become one with others.
#[derive(Clone, Debug)]
pub struct Member {
    /// As many are published one by one.
    pub(super) above: u32,
    pub(super) event_class: Arc<str>,
    /// The key, as JSON.
    pub(super) pk: Vec<u8>,
}

/// Holds the publications of rules that collapse until it is known how many there are of a kind in a transaction.
///
/// A channel's publications stay in order: while something is held for a channel, whatever else comes for it is held behind. Where
/// many became one, it stands in the place of the last of them, so that nothing older about their rows comes after it.
#[derive(Debug, Default)]
pub struct Collapse {
    /// In the order in which it is to be published.
    held: BTreeMap<u64, Held>,
    next: u64,
    groups: HashMap<Kind, Group>,
    /// How much is held for a channel.
    channels: HashMap<Arc<str>, usize>,
    bytes: usize,
    /// The changes that have become part of a publication since this was last asked.
    merged: u64,
    /// The rules that made it.
    rules: Option<Arc<Mapping>>,
}

/// What publications have in common that may become one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    transaction: u64,
    rule: Arc<RuleName>,
    operation: Operation,
    left: bool,
    channel: Arc<str>,
    event_class: Arc<str>,
}

#[derive(Debug)]
enum Held {
    /// One by itself, with its kind where it may still become one with others.
    One(Box<Publication>, Option<Kind>),
    /// The group of a kind.
    Many(Kind),
}

/// The publications of a kind so far.
#[derive(Debug)]
pub(super) struct Group {
    /// That of the first.
    pub(super) origin: Origin,
    pub(super) channel: Arc<str>,
    pub(super) event_class: Arc<str>,
    pub(super) count: u64,
    keys: Vec<u8>,
    /// Where they, or what they have become, are held.
    places: Vec<u64>,
}

impl Group {
    /// The idempotency key, which is the event's id too: the same whenever the same changes are taken together.
    pub(super) fn key(&self) -> String {
        format!("{}-x{}", self.origin, self.count)
    }

    /// The keys as JSON with commas between them; none: there are too many.
    pub(super) fn keys(&self) -> Option<&[u8]> {
        (self.count <= KEYS).then_some(&*self.keys)
    }

    /// Adds a key; returns by how many bytes the group has grown.
    fn add(&mut self, pk: &[u8]) -> usize {
        self.count += 1;
        if self.count > KEYS {
            return 0;
        }
        let before = self.keys.len();
        if before > 0 {
            self.keys.push(b',');
        }
        self.keys.extend_from_slice(pk);
        self.keys.len() - before
    }

    fn weight(&self) -> usize {
        Publication::OVERHEAD + self.channel.len() + self.event_class.len() + self.keys.len()
    }
}

impl Collapse {
    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The first change that something held tells of, and when it was written.
    #[must_use]
    pub fn earliest(&self) -> Option<(i64, Timestamp)> {
        let origins = self.held.values().filter_map(|held| match held {
            Held::One(publication, _) => Some(&publication.origin),
            Held::Many(kind) => self.groups.get(kind).map(|group| &group.origin),
        });
        origins.map(|origin| (origin.change_id, origin.at)).min()
    }

    /// How many changes have become part of a publication with others since this was last asked.
    pub fn merged(&mut self) -> u64 {
        std::mem::take(&mut self.merged)
    }

    /// Takes those of `outcomes` from the index `from` on, which `rules` made of a change of `transaction`; what need not wait stays
    /// there, and what has waited long enough comes there.
    pub fn take(&mut self, rules: &Arc<Mapping>, transaction: u64, outcomes: &mut Vec<Outcome>, from: usize) {
        let fresh = outcomes.split_off(from);
        if !self.rules.as_ref().is_some_and(|known| Arc::ptr_eq(known, rules)) {
            self.release(outcomes);
            self.rules = Some(Arc::clone(rules));
        }
        for outcome in fresh {
            match outcome {
                Ok(publication) if publication.member.is_some() || self.channels.contains_key(&publication.channel) => {
                    self.hold(publication, transaction);
                }
                other => outcomes.push(other),
            }
        }
        while self.bytes > HELD && self.release_first(outcomes) {}
    }

    /// Gives back everything that is held, in order: the window has ended.
    pub fn release(&mut self, outcomes: &mut Vec<Outcome>) {
        while self.release_first(outcomes) {}
    }

    fn hold(&mut self, mut publication: Publication, transaction: u64) {
        *self.channels.entry(Arc::clone(&publication.channel)).or_default() += 1;
        let place = self.next;
        self.next += 1;
        let Some(member) = publication.member.take() else {
            self.bytes += publication.weight();
            self.held.insert(place, Held::One(Box::new(publication), None));
            return;
        };
        let origin = &publication.origin;
        let kind = Kind {
            transaction,
            rule: Arc::clone(&origin.rule),
            operation: origin.operation,
            left: origin.left,
            channel: Arc::clone(&publication.channel),
            event_class: member.event_class,
        };
        let group = self.groups.entry(kind.clone()).or_insert_with(|| {
            let group = Group {
                origin: origin.clone(),
                channel: Arc::clone(&kind.channel),
                event_class: Arc::clone(&kind.event_class),
                count: 0,
                keys: Vec::new(),
                places: Vec::new(),
            };
            self.bytes += group.weight();
            group
        });
        self.bytes += group.add(&member.pk);
        if group.count <= u64::from(member.above) {
            group.places.push(place);
            self.bytes += publication.weight();
            self.held.insert(place, Held::One(Box::new(publication), Some(kind)));
            return;
        }
        for former in std::mem::replace(&mut group.places, vec![place]) {
            if let Some(Held::One(publication, _)) = self.held.remove(&former) {
                self.bytes -= publication.weight();
            }
            // The channel's count is of what is held, which is one less now.
            if let Some(count) = self.channels.get_mut(&kind.channel) {
                *count -= 1;
            }
        }
        self.held.insert(place, Held::Many(kind));
    }

    /// Gives back the first that is held; false: nothing is.
    fn release_first(&mut self, outcomes: &mut Vec<Outcome>) -> bool {
        let Some((place, held)) = self.held.pop_first() else {
            return false;
        };
        let (publication, kind) = match held {
            Held::One(publication, kind) => {
                self.bytes -= publication.weight();
                (Some(*publication), kind)
            }
            Held::Many(kind) => (None, Some(kind)),
        };
        // What is left of a group whose first member goes is published one by one; more of its kind is a group of its own.
        let group = kind.filter(|kind| {
            self.groups
                .get(kind)
                .is_some_and(|group| group.places.first() == Some(&place))
        });
        let group = group.and_then(|kind| self.groups.remove(&kind));
        if let Some(group) = &group {
            self.bytes -= group.weight();
        }
        let publication = publication.or_else(|| {
            let group = group.as_ref()?;
            self.merged += group.count;
            self.rules.as_ref()?.collapsed(group)
        });
        let Some(publication) = publication else { return true };
        if let Some(count) = self.channels.get_mut(&publication.channel) {
            *count -= 1;
            if *count == 0 {
                self.channels.remove(&publication.channel);
            }
        }
        outcomes.push(Ok(publication));
        true
    }
}

#[cfg(test)]
impl Collapse {
    /// The bytes that are held.
    pub(super) const fn held_bytes(&self) -> usize {
        self.bytes
    }
}
