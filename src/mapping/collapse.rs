//! Collapse: many changes of one transaction become one publication.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Mapping, Origin, Outcome, Publication, RuleName};
use crate::change::Operation;

/// The most bytes held until a window ends. Beyond that, the oldest is published as it is, so that memory stays bounded for any
/// number of channels per transaction.
const MAX_HELD_BYTES: usize = 4 << 20;
/// The most keys that an event lists; a client that receives more changes has to reload everything anyway.
const MAX_KEYS: u64 = 1_000;

/// The data of a publication that may be merged with others.
#[derive(Clone, Debug)]
pub struct Member {
    /// The most changes that are published one by one.
    pub(super) above: u32,
    pub(super) event_class: Arc<str>,
    /// The key, as JSON.
    pub(super) pk: Vec<u8>,
}

/// Holds the publications of rules with `collapse` until it is known how many of a kind a transaction has.
///
/// A channel's publications stay in order: while a publication is held for a channel, later ones for it are held as well. A merged
/// publication takes the position of the last of its members, so that nothing older about their rows follows it.
#[derive(Debug, Default)]
pub struct Collapse {
    /// The held publications, in the order in which they will be published.
    held: BTreeMap<u64, Held>,
    next: u64,
    groups: HashMap<Kind, Group>,
    /// The number of held publications per channel.
    channels: HashMap<Arc<str>, usize>,
    bytes: usize,
    /// The number of merged changes since the last call of [`Self::merged`].
    merged: u64,
    /// The rules that made the held publications.
    rules: Option<Arc<Mapping>>,
}

/// The properties that publications must share to be merged.
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
    /// A single publication, with its kind if it may still be merged with others.
    One(Box<Publication>, Option<Kind>),
    /// The merged group of a kind.
    Many(Kind),
}

/// The publications of a kind so far.
#[derive(Debug)]
pub(super) struct Group {
    /// The origin of its first publication.
    pub(super) origin: Origin,
    pub(super) channel: Arc<str>,
    pub(super) event_class: Arc<str>,
    pub(super) count: u64,
    keys: Vec<u8>,
    /// The positions at which they, or the merged publication, are held.
    positions: Vec<u64>,
}

impl Group {
    /// Returns the idempotency key, which is also the event's id: the same whenever the same changes are merged.
    pub(super) fn key(&self) -> String {
        format!("{}-x{}", self.origin, self.count)
    }

    /// Returns the keys as JSON, separated by commas; `None` if there are too many.
    pub(super) fn keys(&self) -> Option<&[u8]> {
        (self.count <= MAX_KEYS).then_some(&*self.keys)
    }

    /// Adds a key; returns how many bytes the group has grown by.
    fn add(&mut self, pk: &[u8]) -> usize {
        self.count += 1;
        if self.count > MAX_KEYS {
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
    /// Returns whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns the first change that has a held publication, and when it was written.
    #[must_use]
    pub fn earliest(&self) -> Option<(i64, Timestamp)> {
        let origins = self.held.values().filter_map(|held| match held {
            Held::One(publication, _) => Some(&publication.origin),
            Held::Many(kind) => self.groups.get(kind).map(|group| &group.origin),
        });
        origins.map(|origin| (origin.change_id, origin.at)).min()
    }

    /// Returns how many changes have been merged with others since the last call.
    pub fn merged(&mut self) -> u64 {
        std::mem::take(&mut self.merged)
    }

    /// Takes the `outcomes` from the index `from` on, which `rules` made of a change of `transaction`. Those that need not wait stay
    /// there, and those that are released are added there.
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
        while self.bytes > MAX_HELD_BYTES && self.release_first(outcomes) {}
    }

    /// Releases everything that is held, in order, because the window has ended.
    pub fn release(&mut self, outcomes: &mut Vec<Outcome>) {
        while self.release_first(outcomes) {}
    }

    fn hold(&mut self, mut publication: Publication, transaction: u64) {
        *self.channels.entry(Arc::clone(&publication.channel)).or_default() += 1;
        let position = self.next;
        self.next += 1;
        let Some(member) = publication.member.take() else {
            self.bytes += publication.weight();
            self.held.insert(position, Held::One(Box::new(publication), None));
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
                positions: Vec::new(),
            };
            self.bytes += group.weight();
            group
        });
        self.bytes += group.add(&member.pk);
        if group.count <= u64::from(member.above) {
            group.positions.push(position);
            self.bytes += publication.weight();
            self.held.insert(position, Held::One(Box::new(publication), Some(kind)));
            return;
        }
        for former in std::mem::replace(&mut group.positions, vec![position]) {
            if let Some(Held::One(publication, _)) = self.held.remove(&former) {
                self.bytes -= publication.weight();
            }
            // One publication fewer is held for the channel.
            if let Some(count) = self.channels.get_mut(&kind.channel) {
                *count -= 1;
            }
        }
        self.held.insert(position, Held::Many(kind));
    }

    /// Releases the first held publication; `false` if nothing is held.
    fn release_first(&mut self, outcomes: &mut Vec<Outcome>) -> bool {
        let Some((position, held)) = self.held.pop_first() else {
            return false;
        };
        let (publication, kind) = match held {
            Held::One(publication, kind) => {
                self.bytes -= publication.weight();
                (Some(*publication), kind)
            }
            Held::Many(kind) => (None, Some(kind)),
        };
        // The rest of a group whose first member is released is published one by one; more of its kind form a new group.
        let group = kind.filter(|kind| {
            self.groups
                .get(kind)
                .is_some_and(|group| group.positions.first() == Some(&position))
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
    /// Returns the number of held bytes.
    pub(super) const fn held_bytes(&self) -> usize {
        self.bytes
    }
}
