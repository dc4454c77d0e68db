//! Publications and their origins.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use jiff::Timestamp;

use super::Member;
use super::event::{write_hex, write_number};
use crate::change::Operation;

/// A message for one channel.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The change that it is about.
    pub origin: Origin,
    /// The channel.
    pub channel: Arc<str>,
    /// The event: a JSON object, encoded once.
    pub event: Vec<u8>,
    /// The idempotency key, if it is not the origin's.
    pub key: Option<Arc<str>>,
    /// The data for merging it with others of its transaction; `None` if it must not be merged.
    pub member: Option<Box<Member>>,
}

impl Publication {
    /// The bytes that a publication takes in memory in addition to its event and channel.
    pub const OVERHEAD: usize = 256;

    /// Returns the idempotency key: its own, or the origin's.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        self.key.as_ref().map_or_else(|| self.origin.to_string(), ToString::to_string)
    }

    /// Appends the [idempotency key](Self::idempotency_key).
    pub fn write_idempotency_key(&self, out: &mut Vec<u8>) {
        match &self.key {
            Some(key) => out.extend_from_slice(key.as_bytes()),
            None => self.origin.write_key(out),
        }
    }

    /// Returns its size in bytes while it is held or in flight.
    #[must_use]
    pub fn weight(&self) -> usize {
        Self::OVERHEAD + self.event.len() + self.channel.len()
    }
}

#[cfg(test)]
impl Publication {
    /// Returns a publication of an update, without an event.
    pub(crate) fn example(change_id: i64, channel: &str) -> Self {
        let rule = RuleName {
            source: "public.shop_order".to_owned(),
            model: "shop.Order".to_owned(),
            number: 1,
        };
        Self {
            origin: Origin {
                change_id,
                at: Timestamp::UNIX_EPOCH,
                operation: Operation::Update,
                rule: Arc::new(rule),
                left: false,
            },
            channel: channel.into(),
            event: Vec::new(),
            key: None,
            member: None,
        }
    }
}

/// The origin of a publication: a change, and a rule that applies to it.
#[derive(Clone, Debug)]
pub struct Origin {
    /// [`crate::change::Change::id`].
    pub change_id: i64,
    /// [`crate::change::Change::at`].
    pub at: Timestamp,
    /// What happened to the row.
    pub operation: Operation,
    /// The rule.
    pub rule: Arc<RuleName>,
    /// Whether it announces to the former audience that the row left, instead of the row's new state.
    pub left: bool,
}

/// The part of a departure's idempotency key after the rule's number.
const LEFT: &str = "-left";

impl Origin {
    /// Returns the operation as named in events.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        if self.left { "leave" } else { self.operation.name() }
    }

    /// Appends the idempotency key, which is also the event's `id`: the same for every attempt, but different for every change and rule,
    /// and for a departure that has the same change and rule as another publication.
    pub fn write_key(&self, out: &mut Vec<u8>) {
        write_number(out, self.change_id);
        out.push(b'-');
        write_hex(out, self.at.as_microsecond().cast_unsigned());
        out.push(b'-');
        write_number(out, self.rule.number);
        if self.left {
            out.extend_from_slice(LEFT.as_bytes());
        }
    }

    /// Returns whether an idempotency key is that of a departure.
    #[must_use]
    pub fn is_departure(key: &str) -> bool {
        key.contains(LEFT)
    }
}

/// A rule's name in logs and dead letters.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RuleName {
    /// The watch, as named in the outbox.
    pub source: String,
    /// The model, as named in events.
    pub model: String,
    /// The rule's number within its watch, from 1.
    pub number: u32,
}

/// Writes the idempotency key.
impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut key = Vec::new();
        self.write_key(&mut key);
        f.write_str(&String::from_utf8_lossy(&key))
    }
}

/// The failure of a rule on a change, which the rule cannot publish and which is parked.
#[derive(Debug)]
pub struct Failure {
    /// The change and the rule.
    pub origin: Origin,
    /// The human-readable reason: which part failed, and why.
    pub reason: String,
    /// [`crate::change::Change::old`], so that the change can be mapped again.
    pub old: Option<String>,
    /// [`crate::change::Change::new`].
    pub new: Option<String>,
}

/// The result of mapping a change by a rule.
pub type Outcome = Result<Publication, Failure>;
