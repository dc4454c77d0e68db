//! Publications, and what they tell of.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use jiff::Timestamp;

use super::Member;
use super::event::{write_hex, write_number};
use crate::change::Operation;

/// A message for one channel.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The change it tells of.
    pub origin: Origin,
    /// The channel.
    pub channel: Arc<str>,
    /// The event: a JSON object, encoded once.
    pub event: Vec<u8>,
    /// The idempotency key, where it is not the origin's.
    pub key: Option<Arc<str>>,
    /// What is known of it where it may become one with others of its transaction.
    pub member: Option<Box<Member>>,
}

impl Publication {
    /// What one costs in memory beside its event and channel.
    pub const OVERHEAD: usize = 256;

    /// The idempotency key: its own, or the origin's.
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

    /// What it weighs while it is held or in flight, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        Self::OVERHEAD + self.event.len() + self.channel.len()
    }
}

#[cfg(test)]
impl Publication {
    /// An update of an order, without an event.
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

/// Where a publication comes from: a change and one of the rules that hear it.
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
    /// Whether it tells the former audience that the row left, instead of what the row is now.
    pub left: bool,
}

/// What the idempotency key of a departure has behind the rule.
const LEFT: &str = "-left";

impl Origin {
    /// What happened, in an event's word.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        if self.left { "leave" } else { self.operation.name() }
    }

    /// Appends the idempotency key, which is the event's `id` too: the same for every attempt, another for every change and rule, and
    /// for the departure among the two publications of one change and rule.
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

    /// Whether an idempotency key is that of a departure.
    #[must_use]
    pub fn is_departure(key: &str) -> bool {
        key.contains(LEFT)
    }
}

/// A rule's name in logs and dead letters.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RuleName {
    /// The watch, as the outbox calls it.
    pub source: String,
    /// The model, as events call it.
    pub model: String,
    /// The rule's number within its watch, from 1.
    pub number: u32,
}

/// The idempotency key.
impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut key = Vec::new();
        self.write_key(&mut key);
        f.write_str(&String::from_utf8_lossy(&key))
    }
}

/// A rule that failed on a change: the change cannot be published by it, and is parked.
#[derive(Debug)]
pub struct Failure {
    /// The change and the rule.
    pub origin: Origin,
    /// Which part failed and why, for people.
    pub reason: String,
    /// [`crate::change::Change::old`], so that the change can be mapped again.
    pub old: Option<String>,
    /// [`crate::change::Change::new`].
    pub new: Option<String>,
}

/// What becomes of one change under one rule.
pub type Outcome = Result<Publication, Failure>;
